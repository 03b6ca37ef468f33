"""Uses a fake of a provider by the provider's own client: clients.py PART URL ADMIN-KEY ARGUMENTS..."""

import sys

part, url, admin, *arguments = sys.argv[1:]


def openai(project, account, other):
    from openai import APIStatusError, OpenAI

    client = OpenAI(admin_api_key=admin, api_key="unused", base_url=f"{url}/v1", max_retries=0)
    keys = client.admin.organization.projects.api_keys
    made = client.admin.organization.projects.service_accounts.api_keys.create(
        account, project_id=project, name="by the client"
    )
    assert made.value.startswith("sk-") and made.object.endswith("api_key"), made
    listed = list(keys.list(project, limit=1, owner_project_access="any"))
    assert [key.id for key in listed] == [other, made.id], listed
    for key in listed:
        key.to_dict()
        assert key.last_used_at is None and key.owner.service_account.id == account, key
    models = OpenAI(api_key=made.value, base_url=f"{url}/v1", max_retries=0).models.list()
    assert models.data
    one = keys.retrieve(made.id, project_id=project)
    assert one.last_used_at >= one.created_at and made.value.endswith(one.redacted_value[-4:]), one
    deleted = keys.delete(other, project_id=project)
    assert deleted.deleted and deleted.id == other, deleted
    try:
        keys.retrieve(other, project_id=project)
    except APIStatusError as error:
        assert error.status_code == 404, error
    else:
        raise AssertionError("it is deleted")


def openrouter(other):
    from openrouter import OpenRouter
    from openrouter import errors

    client = OpenRouter(api_key=admin, server_url=f"{url}/api/v1")
    made = client.api_keys.create(name="by the client")
    assert made.key.startswith("sk-or-v1-"), made
    hash = made.data.hash
    assert [key.hash for key in client.api_keys.list().data] == [hash, other]
    changed = client.api_keys.update(hash=hash, disabled=True)
    assert changed.data.disabled and changed.data.last_used_at is None, changed
    assert [key.hash for key in client.api_keys.list().data] == [other]
    assert len(client.api_keys.list(include_disabled=True).data) == 2
    assert client.api_keys.list(include_disabled=True, offset=2).data == []
    assert client.api_keys.get(hash=hash).data.name == "by the client"
    assert client.api_keys.delete(hash=other).DELETED
    try:
        client.api_keys.get(hash=other)
    except errors.NotFoundResponseError:
        pass
    else:
        raise AssertionError("it is deleted")


def anthropic(one, two):
    from anthropic import Anthropic, BadRequestError

    client = Anthropic(api_key=admin, base_url=url, max_retries=0)
    keys = client.organization.api_keys
    status = {key.id: key.status for key in keys.list(limit=1)}
    assert len(status) == 3 and status[one] == status[two] == "active", status
    assert sorted(status.values()) == ["active", "active", "archived"], status
    assert keys.update(one, status="inactive").status == "inactive"
    assert keys.retrieve(one).partial_key_hint.startswith("sk-ant-api03-")
    assert keys.update(two, status="archived").status == "archived"
    try:
        keys.update(two, status="active")
    except BadRequestError:
        pass
    else:
        raise AssertionError("it is archived")


def google(project, other):
    import json

    from google.api_core.exceptions import NotFound
    from google.cloud.api_keys_v2 import ApiKeysClient, Key, ListKeysRequest
    from google.cloud.api_keys_v2.services.api_keys.transports import ApiKeysRestTransport
    from google.oauth2.service_account import Credentials

    scope = "https://www.googleapis.com/auth/cloud-platform"
    account = Credentials.from_service_account_info(json.loads(admin), scopes=[scope])
    # A sign-in of Google's own library, with a signed assertion.
    transport = ApiKeysRestTransport(
        host=url.removeprefix("http://"), url_scheme="http", credentials=account
    )
    client = ApiKeysClient(transport=transport)
    parent = f"projects/{project}/locations/global"
    made = client.create_key(
        parent=parent, key=Key(display_name="by the client"), key_id="by-the-client"
    ).result(timeout=60)
    assert made.name.endswith("/by-the-client") and made.key_string, made.name
    string = client.get_key_string(name=f"{parent}/keys/by-the-client").key_string
    assert string == made.key_string
    listed = [key.name.rpartition("/")[2] for key in client.list_keys(parent=parent)]
    assert listed == [other, "by-the-client"], listed
    client.delete_key(name=f"{parent}/keys/{other}").result(timeout=60)
    assert len(list(client.list_keys(parent=parent))) == 1
    shown = ListKeysRequest(parent=parent, show_deleted=True)
    deleted = [bool(key.delete_time) for key in client.list_keys(request=shown)]
    assert deleted == [True, False], deleted
    client.undelete_key(request={"name": f"{parent}/keys/{other}"}).result(timeout=60)
    client.delete_key(name=f"{parent}/keys/by-the-client").result(timeout=60)
    try:
        client.get_key(name=f"{parent}/keys/unknown")
    except NotFound:
        pass
    else:
        raise AssertionError("there is no such key")


def azure(tenant, client_id, subscription, group, account):
    import time

    import requests
    from azure.core.credentials import AccessToken
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient

    class Signed:
        def get_token(self, *scopes, **_):
            form = {
                "client_id": client_id,
                "client_secret": admin,
                "grant_type": "client_credentials",
                "scope": " ".join(scopes),
            }
            answer = requests.post(f"{url}/{tenant}/oauth2/v2.0/token", data=form, timeout=60)
            answer.raise_for_status()
            granted = answer.json()
            return AccessToken(granted["access_token"], int(time.time()) + granted["expires_in"])

    scope = "https://management.azure.com/.default"
    client = CognitiveServicesManagementClient(
        Signed(),
        subscription,
        base_url=url,
        api_version="2024-10-01",
        authentication_policy=BearerTokenCredentialPolicy(Signed(), scope),
        retry_total=0,
    )
    plain = {"enforce_https": False}
    before = client.accounts.list_keys(group, account, **plain)
    after = client.accounts.regenerate_key(group, account, "Key2", **plain)
    assert after.key1 == before.key1 and after.key2 != before.key2
    again = client.accounts.list_keys(group, account, **plain)
    assert (again.key1, again.key2) == (after.key1, after.key2)


def bedrock(user, other):
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "iam",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    service = {"UserName": user, "ServiceName": "bedrock.amazonaws.com"}
    made = client.create_service_specific_credential(**service, CredentialAgeDays=30)
    made = made["ServiceSpecificCredential"]
    assert made["ServiceCredentialSecret"].startswith("ABSK"), made["ServiceCredentialAlias"]
    days = (made["ExpirationDate"] - made["CreateDate"]).days
    assert days == 30, days
    try:
        client.create_service_specific_credential(**service)
    except client.exceptions.LimitExceededException:
        pass
    else:
        raise AssertionError("two keys are the limit")
    ids, marker = [], {}
    while True:
        page = client.list_service_specific_credentials(**service, **marker)
        ids += [it["ServiceSpecificCredentialId"] for it in page["ServiceSpecificCredentials"]]
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}
    one = made["ServiceSpecificCredentialId"]
    assert ids == [other, one], ids
    named = {"UserName": user, "ServiceSpecificCredentialId": one}
    client.update_service_specific_credential(**named, Status="Inactive")
    client.delete_service_specific_credential(UserName=user, ServiceSpecificCredentialId=other)
    try:
        client.delete_service_specific_credential(UserName=user, ServiceSpecificCredentialId=other)
    except client.exceptions.NoSuchEntityException:
        pass
    else:
        raise AssertionError("it is deleted")


parts = [openai, openrouter, anthropic, google, azure, bedrock]
{function.__name__: function for function in parts}[part](*arguments)
