"""Asking AWS: one policy for what is asked again and when, and errors that say what to do.

Threads may share an :class:`Aws`. botocore's own retries are off, so that what is counted here is what AWS sees.
A call that starts something is asked again only while AWS says that it did not listen; when its answer is lost,
:class:`LostAnswerError` leaves it to the caller to look for what was started.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import stamina

from protocol.errors import ClusterError, ConfigError

#: What AWS answers when it did not listen: asking again later is right, whatever was asked.
THROTTLES = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "EC2ThrottledException",
        "SlowDown",
        "PriorRequestNotComplete",
        "BandwidthLimitExceeded",
    }
)
#: What AWS answers when something in it broke: it may have done what was asked.
BREAKDOWNS = frozenset({"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout"})
DENIALS = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation"})
BAD_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "UnrecognizedClientException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "OptInRequired",
    }
)
#: Seconds: to connect, and for the answer; a CreateFleet call of hundreds of instances takes many.
CONNECT_S, READ_S = 10, 90
#: Tries to reach a service that has never answered yet: its address is wrong sooner than a network is down.
FIRST_TRIES = 4
#: Most characters of AWS's words in a message.
MAX_WORDS = 300

Repeat = Literal["always", "throttled"]
T = TypeVar("T")

logging.getLogger("stamina").addHandler(logging.NullHandler())  # what matters of retries is in the errors


class AwsError(ClusterError):
    """AWS refuses a call.

    Attributes
    ----------
    code : str
        AWS's name of the error, such as ``InvalidGroup.NotFound``.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class LostAnswerError(ClusterError):
    """A call may or may not have been carried out: its answer did not arrive, or AWS broke down over it."""


class _AskAgainError(Exception):
    """Raised inside the retry loop only."""

    def __init__(self, reason: Exception, code: str) -> None:
        super().__init__(code)
        self.reason, self.code = reason, code


@dataclass(frozen=True, slots=True)
class Patience:
    """How long AWS is asked again, with jitter between tries.

    Attributes
    ----------
    tries : int
    first_s, longest_s : float
        Pause after the first try, which doubles up to the longest, seconds.
    total_s : float
        No further try after this long, seconds.
    settle_s : float
        How long what was made may stay invisible: EC2's answers are eventually consistent.
    """

    tries: int = 12
    first_s: float = 0.5
    longest_s: float = 20.0
    total_s: float = 180.0
    settle_s: float = 15.0


class Aws:
    """AWS in one region.

    Parameters
    ----------
    region : str
        Empty: what the AWS configuration of this machine says.
    patience : Patience

    Attributes
    ----------
    session : boto3.session.Session

    Raises
    ------
    ConfigError
        boto3 is not installed, or no region is named anywhere.
    """

    def __init__(self, region: str = "", patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        try:
            import boto3
            import botocore.exceptions
        except ImportError as error:
            raise ConfigError(f"EC2 needs boto3, which is missing ({error}); install longtail[ec2]") from error
        try:
            self.session = boto3.session.Session(region_name=region or None)
        except botocore.exceptions.ProfileNotFound as error:
            raise ConfigError(f"AWS_PROFILE names no profile of this machine: {error}; see `aws configure`") from error
        if not self.session.region_name:
            raise ConfigError("no AWS region is named; give --region or the setting ec2_region, such as eu-central-1")
        self.region: str = self.session.region_name
        self._clients: dict[tuple[str, str], Any] = {}
        self._reached: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def call(
        self,
        service: str,
        operation: str,
        /,
        *,
        repeat: Repeat = "always",
        region: str = "",
        tries: int | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Return the answer to one call, asked again as the policy says.

        Parameters
        ----------
        service, operation : str
            As boto3 spells them, such as ``"ec2"`` and ``"describe_instances"``.
        repeat : {'always', 'throttled'}
            ``throttled`` for calls that must not be carried out twice.
        region : str
            For the few services that answer elsewhere.
        tries : int, optional
            Instead of the policy's.
        **parameters
            Of the call.

        Raises
        ------
        AwsError
            AWS refuses, or throttles for longer than the policy waits.
        LostAnswerError
            Only with ``repeat="throttled"``: see there.
        ConfigError
            No credentials, wrong ones, or ones that may not do this; the region does not exist.
        ClusterError
            AWS does not answer.
        """
        action = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        patience, limit = self.patience, tries or self.patience.tries
        place = service, region or self.region
        method = getattr(self._client(*place), operation)
        try:
            for attempt in stamina.retry_context(
                on=_AskAgainError,
                attempts=limit,
                timeout=patience.total_s,
                wait_initial=patience.first_s,
                wait_max=patience.longest_s,
                wait_jitter=patience.first_s,
            ):
                with attempt:
                    try:
                        answer = dict(self._once(action, method, parameters, repeat))
                    except _AskAgainError as failed:
                        if failed.code != "unreachable":
                            self._reached.add(place)
                        elif place not in self._reached and attempt.num >= FIRST_TRIES:
                            raise self._silent(action, attempt.num, failed) from failed.reason
                        raise
                    self._reached.add(place)
                    return answer
        except _AskAgainError as failed:
            if failed.code in THROTTLES:
                raise AwsError(
                    f"AWS throttles {action} in {self.region} ({failed.code}) and still did after {limit} tries or "
                    f"{patience.total_s:g} s; wait, use fewer instances, or ask AWS for a higher request rate",
                    failed.code,
                ) from failed.reason
            raise self._silent(action, limit, failed) from failed.reason
        raise AssertionError("unreachable: the loop returns or raises")

    def pages(self, service: str, operation: str, key: str, /, **parameters: Any) -> Iterator[Any]:
        """Yield what stands under `key` on every page of a describe call; raises as :meth:`call` does."""
        token: dict[str, Any] = {}
        while True:
            answer = self.call(service, operation, **parameters, **token)
            yield from answer.get(key, [])
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def settled(self, find: Callable[[], T | None]) -> T | None:
        """Return what `find` finds, asked until it finds something or ``settle_s`` have passed."""
        until, pause = time.monotonic() + self.patience.settle_s, self.patience.first_s
        while True:
            found = find()
            if found is not None or time.monotonic() + pause > until:
                return found
            time.sleep(pause)
            pause = min(2 * pause, self.patience.longest_s)

    def _once(self, action: str, method: Any, parameters: dict[str, Any], repeat: Repeat) -> Any:
        """Ask once, and sort what went wrong."""
        from botocore import exceptions
        from botocore.parsers import ResponseParserError

        try:
            return method(**parameters)
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if code in THROTTLES or status == 429:
                raise _AskAgainError(error, code if code in THROTTLES else "Throttling") from error
            if status >= 500 or code in BREAKDOWNS:
                self._broken(action, error, code, repeat)
            raise self._refusal(action, error, code) from error
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            raise ConfigError(
                f"no AWS credentials for {action} ({_words(error)}); run `aws configure` or `aws sso login`, or set "
                "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError) as error:
            # Nobody was reached, so nothing was done; a region that does not exist has no address either.
            raise _AskAgainError(error, "unreachable") from error
        except (exceptions.HTTPClientError, exceptions.ConnectionError, ResponseParserError) as error:
            self._broken(action, error, "lost", repeat)
        except exceptions.ParamValidationError as error:
            raise AwsError(f"{action} was asked with wrong values: {_words(error)}", "ParamValidation") from error
        except exceptions.BotoCoreError as error:
            raise ConfigError(
                f"{action} cannot be asked: {_words(error)}; check credentials (`aws sts get-caller-identity`), "
                f"region {self.region!r} and AWS_ENDPOINT_URL"
            ) from error

    def _broken(self, action: str, error: Exception, code: str, repeat: Repeat) -> None:
        if repeat == "always":
            raise _AskAgainError(error, code) from error
        raise LostAnswerError(f"the answer to {action} is lost: {_words(error)}") from error

    def _silent(self, action: str, tries: int, failed: _AskAgainError) -> ClusterError:
        return ClusterError(
            f"no good answer to {action} in {self.region}, asked up to {tries} times: {_words(failed.reason)}; check the "
            "network, AWS_ENDPOINT_URL and the state of that region"
        )

    def _refusal(self, action: str, error: Any, code: str) -> ConfigError | AwsError:
        words = _words(error.response.get("Error", {}).get("Message", ""))
        if code in DENIALS:
            return denied(action, self.region, words)
        if code in BAD_CREDENTIALS:
            return ConfigError(
                f"AWS does not accept the credentials for {action} in {self.region} ({code}: {words}); renew them "
                "(`aws sso login`, `aws configure`), see that this machine's clock is right and the region enabled"
            )
        return AwsError(f"AWS refuses {action} in {self.region}: {code}: {words}", code)

    def _client(self, service: str, region: str) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        options = Config(
            retries={"total_max_attempts": 1}, connect_timeout=CONNECT_S, read_timeout=READ_S, max_pool_connections=10
        )
        with self._lock:  # making clients is not thread-safe, using them is
            if (service, region) not in self._clients:
                try:
                    self._clients[service, region] = self.session.client(service, region_name=region, config=options)
                except (BotoCoreError, ValueError) as error:
                    raise ConfigError(
                        f"no client of {service} for region {region!r}: {_words(error)}; check the setting ec2_region "
                        "and AWS_ENDPOINT_URL"
                    ) from error
            return self._clients[service, region]


def denied(action: str, region: str, words: str) -> ConfigError:
    """Return the error for credentials that may not do `action`."""
    return ConfigError(
        f"these AWS credentials may not {action} in {region} ({words}); add that action to their policy, "
        "docs/clusters.md has one to copy"
    )


def _words(what: object) -> str:
    """Return somebody's words in one line of a bearable length, without the encoded part that only AWS can read."""
    text = re.sub(r"Encoded authorization failure message: \S+", "", str(what))
    return " ".join(text.split())[:MAX_WORDS]
