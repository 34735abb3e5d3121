"""What proves an offence: two signed statements of one operator for one slot, with different answers.

offence                       slot                        answer
double Accept                 target block, primary key   order hash
contradicting attestation     alert id, block hash        verdict
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from protocol.errors import InvalidField
from protocol.kinds import EvidenceKind
from protocol.layout import Field, StructLayout
from protocol.messages import SignedAccept, SignedAttestation, check_signature
from protocol.statements import Accept, Attestation
from protocol.units import Address, SignatureBytes

SignedStatement: TypeAlias = SignedAccept | SignedAttestation

EVIDENCE_HEAD: Final = StructLayout("Evidence", Field("kind", "uint8", EvidenceKind), Field("operator", "address"))
STATEMENT_OF_EVIDENCE: Final[dict[EvidenceKind, type[Accept] | type[Attestation]]] = {
    EvidenceKind.DOUBLE_ACCEPT: Accept,
    EvidenceKind.CONTRADICTING_ATTESTATION: Attestation,
}


class Evidence(Struct, frozen=True, kw_only=True):
    """Two statements of one operator that contradict each other; A's words sort before B's (`evidence_of` sees to it).

    What the contract is given as `statementA` and `statementB` are the words: 160 bytes, `abi.encode` of the statement.
    """

    kind: EvidenceKind
    operator: Address
    statement_a: Accept | Attestation
    signature_a: SignatureBytes
    statement_b: Accept | Attestation
    signature_b: SignatureBytes

    def __post_init__(self) -> None:
        EVIDENCE_HEAD.check(self)
        if not any(self.operator):
            raise InvalidField("zero", "evidence.operator")
        check_signature(self.signature_a, "evidence.signatureA")
        check_signature(self.signature_b, "evidence.signatureB")
        expected = STATEMENT_OF_EVIDENCE[self.kind]
        if type(self.statement_a) is not expected or type(self.statement_b) is not expected:
            raise InvalidField(f"not two of {expected.__name__}", "evidence.statementA")
        if not contradict(self.statement_a, self.statement_b):
            raise InvalidField("does not contradict statementA", "evidence.statementB")
        if self.statement_a.words() > self.statement_b.words():
            raise InvalidField("sorts before statementA", "evidence.statementB")


def contradict(a: Accept | Attestation, b: Accept | Attestation) -> bool:
    """Tell whether the two are an offence: one slot, two answers. Whether one operator signed both is not looked at."""
    if isinstance(a, Accept) and isinstance(b, Accept):
        return (a.target_block, a.primary_key) == (b.target_block, b.primary_key) and a.order_hash != b.order_hash
    if isinstance(a, Attestation) and isinstance(b, Attestation):
        return (a.alert_id, a.block_hash) == (b.alert_id, b.block_hash) and a.verdict != b.verdict
    return False


def evidence_of(operator: Address, one: SignedStatement, other: SignedStatement) -> Evidence:
    """Return the evidence that two statements of `operator` make, in canonical order; InvalidField if none."""
    (a, signature_a), (b, signature_b) = sorted(
        (_taken_apart(one), _taken_apart(other)), key=lambda pair: pair[0].words()
    )
    kind = EvidenceKind.DOUBLE_ACCEPT if isinstance(a, Accept) else EvidenceKind.CONTRADICTING_ATTESTATION
    return Evidence(
        kind=kind, operator=operator, statement_a=a, signature_a=signature_a, statement_b=b, signature_b=signature_b
    )


def _taken_apart(signed: SignedStatement) -> tuple[Accept | Attestation, SignatureBytes]:
    statement = signed.accept if isinstance(signed, SignedAccept) else signed.attestation
    return statement, signed.signature
