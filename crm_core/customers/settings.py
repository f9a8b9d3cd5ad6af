"""Figures of the customer archive that a deployer may change; the defaults are the rules' own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CustomersSettings(BaseModel):
    """Settings of the room `customers`."""

    model_config = ConfigDict(extra="forbid")

    review_interval_days: int = Field(
        180, ge=1, description="Days after which an archive is due for its check of accuracy (CS-011)."
    )
    filing_days: int = Field(
        3, ge=0, description="Days within which a paper received is to be filed (及时存档, CS-010)."
    )
    secrecy_levels: list[str] = Field(
        ["public", "restricted", "secret"],
        min_length=1,
        description="Levels of secrecy of an archive, the lowest first (密级).",
    )
    default_secrecy: str = Field("restricted", description="Level of a new archive; one of secrecy_levels.")
    document_bytes: int = Field(1_048_576, ge=1, description="Largest paper given as content, bytes.")

    @model_validator(mode="after")
    def _default_is_a_level(self) -> CustomersSettings:
        if self.default_secrecy not in self.secrecy_levels:
            raise ValueError("default_secrecy must be one of secrecy_levels")
        return self
