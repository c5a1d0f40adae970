"""Settings: flag > environment (``LONGTAIL_…``) > file > default; a typo is refused."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from infra.home import HOME_VARIABLE, find_home
from protocol.errors import ConfigError

PREFIX = "LONGTAIL_"
#: Environment variables with our prefix that are not settings.
OTHER_VARIABLES = frozenset({HOME_VARIABLE, "LONGTAIL_DEBUG", "LONGTAIL_EXCHANGE_URL"})


class Settings(BaseSettings):
    """Everything a user can set once instead of on every command line."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    cluster: str = Field("local", description="what `--cluster` without a value means: local, ec2, tcp://…, tls://…")
    workers: int = Field(2, ge=1, le=10_000, description="slots of the local pool or local Dask cluster")
    data: str = Field(
        "sample",
        description="dataset: `sample`, a folder, a Parquet file or s3://bucket/path; `?until=DATE` behind it: as known then",
    )
    topic: str = Field("us-daily", description="topic to mine: a name of `ltminer topics` or a TOML file")
    space: str = Field("linear-light", description="search space")
    population: int = Field(20, ge=4, le=10_000, description="individuals that breed")
    evaluations: int = Field(200, ge=1, le=10_000_000, description="candidates to try")
    time_budget: str = Field("4m", description="stop asking after this long: 90s, 4m, 2h, 1d; `none` for no limit")
    memory_limit_mb: int = Field(
        2048, ge=128, description="memory one evaluation may take on top of the interpreter, MB"
    )
    cache_limit_mb: int = Field(
        1024, ge=0, description="space for fitted prefixes on each worker, MB; 0 switches them off"
    )
    connect_timeout_s: float = Field(
        20.0, gt=0, le=3600, description="how long a scheduler may take to answer, seconds"
    )
    tls_ca: str = Field("", description="certificate authority file for tls:// schedulers")
    tls_cert: str = Field("", description="client certificate file for tls:// schedulers")
    tls_key: str = Field("", description="client key file for tls:// schedulers")
    bucket: str = Field(
        "",
        description="s3://BUCKET/PATH for what machines share: the environment of EC2 instances, copies of runs; empty: none",
    )
    budget: float = Field(10.0, gt=0, le=1e6, description="most an EC2 cluster may cost in one run, dollars")
    max_price: float = Field(
        0.0, ge=0, le=1e3, description="most an EC2 instance may cost per hour, dollars; 0: its on-demand price"
    )
    ec2_region: str = Field("", description="AWS region; empty: that of the AWS configuration")
    ec2_types: str = Field(
        "c7i.xlarge, c7a.xlarge, c6i.xlarge, c6a.xlarge, c5.xlarge, "
        "m7i.xlarge, m7a.xlarge, m6i.xlarge, m6a.xlarge, m5.xlarge",
        description="x86-64 instance types of one size, any of which will do; the more, the more capacity",
    )
    ec2_instances: int = Field(8, ge=1, le=1000, description="most instances alive at once")
    ec2_spot_share: float = Field(
        1.0, ge=0, le=1, description="share of the instances asked for as spot; what spot does not fill runs on demand"
    )
    ec2_workers_per_instance: int = Field(0, ge=0, le=256, description="workers on each instance; 0: one per vCPU")
    ec2_subnets: str = Field("", description="subnets of one VPC; empty: the default subnets of the default VPC")
    ec2_access: str = Field(
        "",
        description="address (203.0.113.7/32) or group (sg-…) of the scheduler's machine, which may reach the workers",
    )
    ec2_contact: str = Field(
        "",
        description="HOST or HOST:PORT under which instances reach this machine's scheduler; empty: its own address, any port",
    )
    ec2_key: str = Field("", description="EC2 key pair for ssh; empty: none. No port is opened for it")
    ec2_image: str = Field("", description="image (AMI); empty: the newest Amazon Linux 2023")
    ec2_profile: str = Field(
        "", description="existing instance profile; empty: a minimal one is made and removed again"
    )
    ec2_volume_gb: int = Field(20, ge=8, le=1000, description="encrypted volume of each instance, GB")
    ec2_lifetime: str = Field("12h", description="an instance ends itself after this: 90m, 12h, 2d")
    ec2_idle: str = Field("20m", description="an instance ends itself after this long without work")
    ec2_lost: str = Field("5m", description="an instance ends itself after this long without its scheduler")
    ledger: str = Field(
        "local", description="ledger: `local` (in the home), a file, or `URL#ADDRESS` of one on a chain"
    )
    chain_fee_gwei: int = Field(200, ge=1, description="most that is paid per gas on a chain, 10⁻⁹ of its coin")
    chain_gas: int = Field(3_000_000, ge=100_000, description="most gas of one transaction")
    modules: str = Field(
        "",
        description="folder or s3://BUCKET/PATH for the texts of modules, of which a chain then has the hash; empty: all on it",
    )
    chain_confirmations: int = Field(
        -1, ge=-1, le=1000, description="blocks on top of one before it counts; -1: none on a development chain, else 5"
    )
    chain_values: Literal["log", "keep", "none"] = Field(
        "log",
        description="values of predictions on a chain: `log` (in its log), `keep` (stored too, for feeds), `none` (roots only)",
    )
    fund: str = Field("", description="where a fund answers: HEADs, predictions, rewards; empty: none is asked")
    key: str = Field("", description="keystore to sign with: a name or a file; empty: `miner` or `validator`")
    password_file: str = Field("", description="file with the password of the keystore")
    listen: str = Field("127.0.0.1:9464", description="where `ltvalidator run` answers health and metrics")
    clock: str = Field("", description="file that tells the time of a simulated network; empty: the wall does")
    fund_listen: str = Field("127.0.0.1:8611", description="where `ltfund run` and `ltfund sign` answer")
    replay_cpu_s: float = Field(120.0, gt=0, le=86_400, description="CPU seconds one fit of a submission may take")
    replay_memory_mb: int = Field(2048, ge=256, description="memory one fit of a submission may take, MB")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the file of the home."""
        file = TomlConfigSettingsSource(settings_cls, find_home().settings_file)
        return init_settings, env_settings, file


def load_settings(**flags: Any) -> Settings:
    """Return the settings in force; flags that are ``None`` count as not given.

    Raises
    ------
    ConfigError
        The file is no TOML, or a name or value is wrong, wherever it came from.
    """
    file: Path = find_home().settings_file
    _refuse_unknown_variables()
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"settings file {file} is not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {file} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        hint = f"unknown setting{_nearest(name)}" if first["type"] == "extra_forbidden" else first["msg"]
        raise ConfigError(
            f"setting {name} = {first['input']!r}: {hint}; see docs/settings.md (file: {file}, variables: {PREFIX}…)"
        ) from error


def settings_table() -> str:
    """Return the Markdown table of every setting, as docs/settings.md has it."""
    rows = ["| setting | variable | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = f'"{field.default}"' if isinstance(field.default, str) else f"{field.default:g}"
        rows.append(f"| `{name}` | `{PREFIX}{name.upper()}` | `{default}` | {field.description} |")
    return "\n".join(rows) + "\n"


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    for variable in os.environ:
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            hint = _nearest(variable[len(PREFIX) :].lower(), PREFIX)
            raise ConfigError(f"environment variable {variable} is no setting{hint}; see docs/settings.md")


def _nearest(name: str, prefix: str = "") -> str:
    close = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f", did you mean {prefix}{close[0].upper() if prefix else close[0]}?" if close else ""
