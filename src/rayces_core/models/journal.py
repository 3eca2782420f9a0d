"""StateTransition: the journal of every change of state, which is only ever added to."""

from __future__ import annotations

from rayces_core import clock
from rayces_core.fields import BigIntegerField, StringField, UTCDateTimeField
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TenantModel


class StateTransition(TenantModel):
    """What happened to which row, when, by whom and why. `actor` is None where no user acted."""

    subject_type = StringField()
    subject_id = BigIntegerField()
    event = StringField()
    from_state = StringField()
    to_state = StringField()
    actor = TenantForeignKey(User, backref="state_transitions", null=True)
    actor_id: int | None
    reason = StringField(null=True)
    occurred_at = UTCDateTimeField(default=clock.now)

    class Meta:
        """The table."""

        table_name = "state_transitions"
        defaults_in_database = True
