"""What a protocol file says of a system that speaks SOAP, beside its `wsdl:`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from protocols.mapping.engine import Template


class Soap(BaseModel):
    """Which port of which service of the WSDL is meant, and how its answers are read.

    `fault_code` and `fault_text` are templates over a fault: `$Detail.code` is a field of a detail element, `$fault` SOAP's
    own code, `$text` its reason; where they find nothing, SOAP's own stand. `strict` refuses replies that hold more than
    the contract says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str | None = None
    port: str | None = None
    strict: bool = False
    fault_code: str = Field(default="$fault")
    fault_text: str = Field(default="$text")

    @field_validator("fault_code", "fault_text")
    @classmethod
    def _compiles(cls, source: Any) -> Any:
        Template(source)
        return source
