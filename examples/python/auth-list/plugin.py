"""Lets the users in that the operator lists, each with a hash, a directory and permissions."""

from wit_world import exports
from wit_world.exports.authenticator import (
    Account,
    AuthDecision_Abstain,
    AuthDecision_Accept,
    AuthDecision_Deny,
    Credentials_Password,
)
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports import config, crypto, log
from componentize_py_types import Err

# What a user may do where the operator has written nothing else.
PERMISSIONS = ["list", "read"]


def users():
    """The tables below `user` in the settings, which come as dotted keys."""
    found = {}
    for key, value in config.all():
        match key.split("."):
            case ["user", name, field]:
                found.setdefault(name, {})[field] = value
            case ["user", name, "permissions", _]:
                found.setdefault(name, {}).setdefault("permissions", []).append(value)
    return found


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="auth-list",
            version="0.1.0",
            description="Lets the users in that the operator lists",
            verbs=[],
            site=[],
            features=[],
            events=[],
            extra=[],
        )

    def init(self):
        mistakes = []
        for name, user in users().items():
            for field in ("hash", "directory"):
                if field not in user:
                    mistakes.append(f"user.{name}.{field}: is missing")
        if mistakes:
            raise Err("\n".join(mistakes))


class Authenticator(exports.Authenticator):
    def authenticate(self, session, credentials):
        if not isinstance(credentials, Credentials_Password):
            return AuthDecision_Abstain()
        name = credentials.value.user
        user = users().get(name)
        if user is None:
            return AuthDecision_Abstain()
        # The server compares: the password itself is not shown to this plugin.
        if not crypto.verify_offered(user["hash"]):
            log.emit(log.Level.INFO, "wrong password", [("name", name)])
            return AuthDecision_Deny(None)
        return AuthDecision_Accept(
            Account(
                name=name,
                storage="local:" + user["directory"],
                root="/",
                permissions=user.get("permissions", PERMISSIONS),
                limits=[],
                groups=[],
                attributes=[],
            )
        )
