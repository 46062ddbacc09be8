"""Leases in Redis: which worker is at which project, as far as everybody can see.

The lock in the project's folder decides who may work; the lease tells other machines, and stands
in for the lock where file locks are not shared between them (SHARED_LOCKS=false). A Redis that
does not answer changes nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Literal

import redis

from app import connection, settings

log = logging.getLogger(__name__)

PREFIX = "lease:"
Answer = Literal["ok", "taken", "unknown"]
"""`unknown`: Redis did not answer."""

# KEYS lease; ARGV owner, facts, milliseconds, strict
_CLAIM = """
local held = redis.call('GET', KEYS[1])
if held and ARGV[4] == '1' and cjson.decode(held).owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
# KEYS lease; ARGV owner
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if held and cjson.decode(held).owner == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


def hold(project_id: int, owner: str, facts: Mapping[str, Any]) -> Answer:
    """Take or renew the lease of a project for LEASE_SECONDS.

    Args:
        project_id: The project.
        owner: Names the process and its task; who holds it already may renew it.
        facts: What others may want to know: run, stage, worker, host, pid, task, since.

    Returns:
        `taken` only where file locks are not shared and a foreign lease still runs.
    """
    chosen = settings.get()
    value = json.dumps({"project_id": project_id, "owner": owner, **facts})
    strict = "0" if chosen.shared_locks else "1"
    milliseconds = str(int(chosen.lease_seconds * 1000))
    try:
        got = connection.quick().eval(
            _CLAIM, 1, _key(project_id), owner, value, milliseconds, strict
        )
    except (redis.RedisError, OSError) as error:
        log.debug("lease not renewed: %s", error)
        return "unknown"
    return "ok" if got else "taken"


def release(project_id: int, owner: str) -> None:
    """Give the lease back; one that is somebody else's by now is left alone."""
    try:
        connection.quick().eval(_RELEASE, 1, _key(project_id), owner)
    except (redis.RedisError, OSError) as error:
        log.debug("lease not released: %s", error)


def held(project_id: int) -> bool:
    """Tell whether anybody holds a project's lease; raises where Redis does not answer."""
    return bool(connection.quick().exists(_key(project_id)))


def holders() -> list[dict[str, Any]]:
    """Return the facts of every lease, by project; raises where Redis does not answer."""
    client = connection.quick()
    found = []
    for key in client.scan_iter(match=f"{PREFIX}*", count=1000):
        text = client.get(key)
        if isinstance(text, str):
            found.append(_facts(text))
    return sorted((facts for facts in found if facts), key=lambda facts: facts["project_id"])


def _facts(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    whole = isinstance(facts, dict) and isinstance(facts.get("project_id"), int)
    return facts if whole else {}


def _key(project_id: int) -> str:
    return f"{PREFIX}{project_id}"
