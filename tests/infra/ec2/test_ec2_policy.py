"""The policies in the documentation allow what the code asks for."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

botocore_session = pytest.importorskip("botocore.session")
ROOT = Path(__file__).parents[3]
#: What AWS checks beside the calls themselves: instances of fleets, tags given while creating, the role of instances.
IMPLIED = {"ec2:RunInstances", "ec2:CreateTags", "iam:TagRole", "iam:TagInstanceProfile", "iam:PassRole"}

#: Of the bucket with environment, certificates and data.
BUCKET = {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}


def policies() -> list[dict[str, Any]]:
    page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    return [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)]


def actions(policy: dict[str, Any]) -> set[str]:
    listed = [statement["Action"] for statement in policy["Statement"]]
    return {action for one in listed for action in ([one] if isinstance(one, str) else one)}


def asked() -> set[str]:
    """Return every action whose operation is named in the code."""
    from botocore import xform_name

    session = botocore_session.get_session()
    operations = {
        xform_name(operation): f"{service}:{operation}"
        for service in ("ec2", "iam", "ssm", "pricing")
        for operation in session.get_service_model(service).operation_names
    }
    found = set()
    for file in (ROOT / "infra" / "ec2").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in operations:
                found.add(operations[node.value])
    return found


def test_the_miners_policy_is_what_the_code_asks_for() -> None:
    miners, _ = policies()
    assert actions(miners) == asked() | IMPLIED | BUCKET | {"ec2:DescribeRegions"}  # asked by `--region all`


def test_the_instances_policy_only_reads() -> None:
    _, instances = policies()
    assert actions(instances) == {"s3:GetObject", "s3:ListBucket"}
