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


{"openai": openai, "openrouter": openrouter, "anthropic": anthropic}[part](*arguments)
