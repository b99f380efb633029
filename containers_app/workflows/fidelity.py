"""The proof that a made container equals what it was made from, stored with the operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from containers_app.specs.fidelity import FidelityProof, prove, unfulfilled
from containers_app.workflows.context import Context
from containers_app.workflows.planning import Prepared

OVERRIDDEN = "Asked for by an override."
COMMITTED = "It is made from an image of the source as it was."
OWN_VOLUME = "The clone has a volume of its own."


def proven(
    context: Context,
    prepared: Prepared,
    made: Mapping[str, Any],
    *,
    committed: bool = False,
    explained: Mapping[str, str] = MappingProxyType({}),
) -> FidelityProof:
    """Compare with what was wanted, and warn of every difference that nobody asked for.

    `explained`: more reasons, by the name of the field.

    What was wanted differs from the source by its volumes alone, which is explained by that.
    """
    expected = {
        **prepared.plan.expected_differences,
        **dict.fromkeys(prepared.wish.overrides.touched, OVERRIDDEN),
        **explained,
    }
    if committed:
        expected |= dict.fromkeys(("Image", "Config.Image"), COMMITTED)
    proof = prove(prepared.wanted, made, expected=expected, other_engine=prepared.around.elsewhere)
    proof = replace(proof, differences=(*proof.differences, *unfulfilled(prepared.plan.create.body(), made)))
    for difference in proof.unexplained:
        message = f"{prepared.plan.name} differs from its source in {difference.field}: "
        message += f"{difference.source}, {difference.clone}."
        context.warn("DIFFERS", message)
    volumes = () if prepared.wanted == prepared.source else prove(prepared.source, prepared.wanted).differences
    own = tuple(replace(difference, reason=OWN_VOLUME) for difference in volumes)
    return replace(proof, differences=(*proof.differences, *own))
