"""An OpenFeature provider over the Remote Evaluation Protocol, as an application would have one."""

from collections.abc import Mapping
from typing import Any

import httpx2
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, GeneralError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata


class RemoteProvider(AbstractProvider):
    """Evaluates each flag by asking the gateway, with a key and in an environment."""

    def __init__(self, url: str, key: str, environment: str = "production") -> None:
        super().__init__()
        headers = {"authorization": f"Bearer {key}", "x-environment": environment}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=20)

    def get_metadata(self) -> Metadata:
        return Metadata("metrics-gateway")

    def shutdown(self) -> None:
        self._http.close()

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._resolved(flag_key, default_value, evaluation_context, bool)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._resolved(flag_key, default_value, evaluation_context, str)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._resolved(flag_key, default_value, evaluation_context, int)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        return self._resolved(flag_key, default_value, evaluation_context, (int, float))

    def resolve_object_details(
        self, flag_key: str, default_value: Any, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Any]:
        return self._resolved(flag_key, default_value, evaluation_context, (dict, list))

    def _resolved(
        self, key: str, default: Any, context: EvaluationContext | None, of: type | tuple[type, ...]
    ) -> FlagResolutionDetails[Any]:
        given: dict[str, Any] = dict(context.attributes) if context is not None else {}
        if context is not None and context.targeting_key:
            given["targetingKey"] = context.targeting_key
        response = self._http.post(f"/ofrep/v1/evaluate/flags/{key}", json={"context": given})
        if response.status_code not in (200, 400, 404):
            raise GeneralError(f"{response.status_code}: {response.text}")
        found: Mapping[str, Any] = response.json()
        if "errorCode" in found:
            code = ErrorCode(found["errorCode"])
            return FlagResolutionDetails(default, code, found["errorDetails"], Reason.ERROR)
        value = found["value"]
        if not isinstance(value, of) or (isinstance(value, bool) and of is not bool):
            raise TypeMismatchError(f"The flag has {value!r}.")
        return FlagResolutionDetails(
            value, reason=found["reason"], variant=found["variant"], flag_metadata=found.get("metadata", {})
        )
