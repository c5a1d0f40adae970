"""The bucket of the setting `bucket`: whether it can be used, and where it answers."""

from __future__ import annotations

from typing import Any

from infra.ec2.client import Aws
from infra.ec2.layout import Layout
from protocol.errors import ClusterError, ConfigError


def layout_of(bucket: str) -> Layout:
    """Return the keys in the bucket of an address ``s3://BUCKET/PATH``.

    Raises
    ------
    ConfigError
        It is none, or empty.
    """
    name, _, path = bucket.removeprefix("s3://").partition("/")
    if not bucket.startswith("s3://") or not name:
        raise ConfigError(
            f"setting bucket = {bucket!r} is no s3://BUCKET/PATH; instances fetch their environment from there, so name one"
        )
    return Layout(name, path.strip("/"))


def open_bucket(aws: Aws, layout: Layout) -> Any:
    """Return a boto3 client of S3 for the bucket's own region.

    Raises
    ------
    ConfigError
        There is no such bucket, or these credentials may not use it.
    ClusterError
        S3 does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = aws.session.client("s3", region_name=aws.region)
        answer = client.head_bucket(Bucket=layout.bucket)
    except ClientError as error:
        answer = error.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            raise ConfigError(
                f"there is no bucket {layout.bucket}; make it (`aws s3 mb s3://{layout.bucket}`) or name another"
            ) from error
        if status == 403:
            raise ConfigError(
                f"these AWS credentials may not use the bucket {layout.bucket} ({error}); docs/clusters.md has a policy"
            ) from error
        if status != 301:
            raise ClusterError(f"the bucket {layout.bucket} cannot be reached: {error}") from error
    except BotoCoreError as error:
        raise ClusterError(
            f"the bucket {layout.bucket} cannot be reached: {error}; check credentials and AWS_ENDPOINT_URL"
        ) from error
    region = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", aws.region)
    return client if region == aws.region else aws.session.client("s3", region_name=region)
