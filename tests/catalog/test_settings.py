import stat
from pathlib import Path

import pytest

from catalog.database import Database
from catalog.errors import InvalidInput
from catalog.object_storage import S3Place
from catalog.settings import load_settings


def test_defaults_need_nothing_but_a_home(tmp_path: Path) -> None:
    settings = load_settings({"RECAPTION_HOME": str(tmp_path / "home")})
    assert settings.database_url == f"sqlite:///{tmp_path}/home/recaption.sqlite"
    assert settings.embedded_broker
    assert settings.blobs == tmp_path / "home" / "blobs"


def test_the_secret_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    settings = load_settings({"RECAPTION_HOME": str(tmp_path / "home")})
    assert settings.secret_key() == settings.secret_key()
    assert stat.S_IMODE((tmp_path / "home" / "secret-key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["RECAPTION_MAX_PIXELS", "RECAPTION_FEATURE_CACHE_GB"])
@pytest.mark.parametrize("value", ["-1", "0", "many", "1e9"])
def test_a_limit_that_is_no_number_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is '{value}'"):
        load_settings({name: value})


def test_a_machine_keeps_as_many_features_as_it_is_told() -> None:
    assert load_settings({}).feature_cache_gb == 20
    assert load_settings({"RECAPTION_FEATURE_CACHE_GB": "7"}).feature_cache_gb == 7


def test_a_bucket_is_chosen_by_its_address() -> None:
    settings = load_settings({"RECAPTION_BLOBS": "s3://photos/a/b/"})
    assert settings.blobs == S3Place("photos", "a/b")
    assert str(settings.blobs) == "s3://photos/a/b"


@pytest.mark.parametrize(
    "url", ["s3://", "s3://Photos", "s3://photos/../x", "s3://photos/a//b", "gs://photos"]
)
def test_an_address_that_is_no_bucket_is_named(url: str) -> None:
    with pytest.raises(InvalidInput, match="give one such as s3://bucket/prefix") as refused:
        load_settings({"RECAPTION_BLOBS": url})
    assert repr(url) in str(refused.value)


def test_keys_of_a_storage_are_read_and_never_shown() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "KEYID", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_SESSION_TOKEN": "TOKEN"}
    settings = load_settings({**keys, "AWS_DEFAULT_REGION": "eu-north-1", "AWS_ENDPOINT_URL": "http://a:9"})
    assert (settings.s3.secret_access_key, settings.s3.session_token) == ("SECRET", "TOKEN")
    assert (settings.s3.region, settings.s3.endpoint) == ("eu-north-1", "http://a:9")
    assert not any(key in repr(settings) for key in keys.values())


@pytest.mark.parametrize("endpoint", ["minio:9000", "https://ada:hunter2@minio.example"])
def test_an_endpoint_that_is_none_or_holds_a_password_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidInput, match="AWS_ENDPOINT_URL") as refused:
        load_settings({"AWS_ENDPOINT_URL": endpoint})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["reddis://host", "redis", "http://host"])
def test_an_unknown_broker_is_named_before_anything_runs(url: str) -> None:
    with pytest.raises(InvalidInput, match="RECAPTION_BROKER_URL is"):
        load_settings({"RECAPTION_BROKER_URL": url})


@pytest.mark.parametrize("url", ["mysql://host/name", "postgresql:/host", "recaption.sqlite"])
def test_an_unknown_database_is_named(url: str) -> None:
    with pytest.raises(InvalidInput, match="RECAPTION_DATABASE_URL is"):
        Database(url)


def test_trusted_hosts_are_a_list() -> None:
    hosts = load_settings({"RECAPTION_TRUSTED_HOSTS": "a.example, b.example"}).trusted_hosts
    assert hosts == ("a.example", "b.example")


def test_hosts_of_url_imports_are_none_some_or_all() -> None:
    def hosts(value: str) -> tuple[str, ...]:
        return load_settings({"RECAPTION_URL_IMPORTS": value}).url_imports

    assert load_settings({}).url_imports == hosts("") == hosts("off") == ()
    assert hosts("on") == ("*",)
    assert hosts("Images.example.org, *.example.com") == ("images.example.org", "*.example.com")
    for wrong in ("*", "http://images.example.org", "localhost", "a.*.example", "yes"):
        with pytest.raises(InvalidInput, match="RECAPTION_URL_IMPORTS has"):
            hosts(wrong)
