"""What a move leaves in a cell while it is under way: the doctor, the comparison of schemas and the relay know it."""

import threading
import time
from datetime import timedelta

import pytest

from rayces_core import Notice, OutboxMessage, outbox
from rayces_core.cells.connecting import connected, rows
from rayces_core.database.constraints import MOVES
from rayces_core.doctor import audit
from rayces_core.errors import TenantMovedError, TenantMovingError
from rayces_core.migrating.checking import differences
from tests.cells.conftest import make_tenant
from tests.cells.test_moving import stopped_at
from tests.conftest import on_server
from tests.factory import make_appointment, make_message, make_notice, make_student
from tests.sizes import quick_or_whole


def told_by(database) -> list[tuple[str, str]]:
    return [(found.check, found.object) for found in audit(database) if found.check == "tenant-held"]


@pytest.mark.slow
def test_the_doctor_warns_of_a_tenant_that_is_held(own_cells):
    tenant = make_tenant(own_cells)
    stopped_at(own_cells, tenant, "comparing")
    for database in own_cells:
        assert told_by(database) == [("tenant-held", f"organization {tenant.id}")]
        assert [found.check for found in audit(database) if found.severity == "error"] == []
    assert all(each.is_well for each in own_cells.doctor())
    own_cells.cancel_move(tenant.subdomain)
    assert [told_by(database) for database in own_cells] == [[], []]


@pytest.mark.slow
def test_triggers_that_were_left_behind_are_an_error_and_it_says_how_they_go(own_cells):
    tenant = make_tenant(own_cells)
    stopped_at(own_cells, tenant, "comparing")
    on_server(own_cells["a"].url, "UPDATE rayces_cells.moves SET step = 'cancelled'")  # as a restored backup has it
    found = [each for each in own_cells.doctor()[0].findings if each.check == "cell-held"]
    assert [each.object for each in found] == [str(tenant.id)]
    with own_cells["a"].tenant(tenant.id), pytest.raises(TenantMovingError):
        make_student()
    on_server(own_cells["a"].url, found[0].remedy)
    with own_cells["a"].tenant(tenant.id):
        make_student()


@pytest.mark.slow
def test_comparing_schemas_finds_no_drift_in_a_cell(own_cells, server_url):
    tenant = make_tenant(own_cells)
    stopped_at(own_cells, tenant, "comparing")
    for database in list(own_cells)[: quick_or_whole(1, 2)]:
        found = differences(database._runner(), server_url)
        assert [each.line for each in found if each.is_drift] == []
        assert {each.kind for each in found} == {"transitional"}
        assert all(
            "rayces_cells.refuse_moving" in each.line or "rayces_cells.bound_here" in each.line for each in found
        )


@pytest.mark.exhaustive
def test_a_sequence_of_no_range_is_drift_still(own_cells, server_url):
    """`make test` keeps the comparison that finds none."""
    on_server(own_cells["a"].url, "ALTER TABLE users ALTER COLUMN id SET MAXVALUE 77777777777777")
    found = differences(own_cells["a"]._runner(), server_url)
    assert [each.kind for each in found if "users_id_seq" in each.line] == ["unexpected", "missing"]


class TestTheRelay:
    @pytest.fixture
    def both(self, own_cells):
        """A tenant that is to be moved and a neighbour, each with a message that waits."""
        tenants = [make_tenant(own_cells), make_tenant(own_cells)]
        for tenant in tenants:
            with own_cells.tenant(tenant):
                make_message(topic="host.noticed")
        return own_cells, *tenants

    def relay(self, database, told):
        return outbox.relay(database, {"tell": outbox.on("*", lambda message: told.append(message.organization_id))})

    @pytest.mark.slow
    def test_that_of_the_old_cell_leaves_a_held_tenants_messages_and_tells_the_others(self, both):
        cells, tenant, other = both
        stopped_at(cells, tenant, "comparing")
        told: list[int] = []
        self.relay(cells["a"], told).run_once()
        self.relay(cells["b"], told).run_once()
        assert told == [other.id]
        outbox.prune(cells["a"], older_than=timedelta(0))  # nobody's statement fails for one who is held
        cells.move(tenant.subdomain, to="b")
        self.relay(cells["a"], told).run_once()
        assert told == [other.id]
        self.relay(cells["b"], told).run_once()
        assert told == [other.id, tenant.id]
        with cells.tenant(tenant.subdomain):
            assert OutboxMessage.select().where(OutboxMessage.settled_at.is_null()).count() == 0

    @pytest.mark.slow
    def test_those_of_a_subject_come_in_their_order_where_ids_are_lower_as_well(self, own_cells):
        tenant, told = make_tenant(own_cells, cell="b"), []
        with own_cells.tenant(tenant):
            booked = make_appointment()
            written = [self.put(booked, number) for number in (1, 2)]
            make_notice(appointment=booked, cause_id=written[0].id)
        own_cells.move(tenant.subdomain, to="a")
        with own_cells.tenant(tenant.subdomain):
            self.put(booked, 3)
        handlers = {"tell": outbox.on("*", lambda message: told.append(message.payload["number"]))}
        relay = outbox.relay(own_cells["a"], handlers)
        while relay.run_once():
            pass
        assert told == [1, 2, 3]
        with own_cells.tenant(tenant.subdomain):
            first = OutboxMessage.get(OutboxMessage.message_id == written[0].message_id)
            assert Notice.get().cause_id == first.id < 2**40, "made of it once, however often it is heard"

    @pytest.mark.slow
    def test_they_keep_their_ids_where_a_table_of_the_host_refers_to_them(self, own_cells):
        tenant = make_tenant(own_cells)
        with own_cells.tenant(tenant):
            written = make_message()
        for database in own_cells:
            on_server(
                database.url,
                "CREATE TABLE receipts (organization_id bigint, message bigint, FOREIGN KEY (organization_id, message) "
                "REFERENCES outbox_messages (organization_id, id) ON DELETE CASCADE); "
                "ALTER TABLE receipts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; "
                "CREATE POLICY all_of_them ON receipts TO rayces_admin USING (true) WITH CHECK (true); "
                "GRANT SELECT, INSERT, DELETE ON receipts TO rayces_admin",
            )
        on_server(own_cells["a"].url, f"INSERT INTO receipts VALUES ({tenant.id}, {written.id})")
        own_cells.move(tenant.subdomain, to="b")
        with connected(own_cells["b"].admin_url) as connection:
            assert rows(connection, "SELECT message FROM receipts") == [(written.id,)]

    def put(self, booked, number):
        return make_message(
            topic="host.noticed", subject_type="Appointment", subject_id=booked.id, payload={"number": number}
        )

    @pytest.mark.slow
    def test_what_is_being_delivered_is_noted_before_its_messages_are_held(self, both):
        cells, tenant, other = both
        told: list[int] = []
        delivering = self.relay(cells["a"], told)
        delivering.run_once()
        assert sorted(told) == sorted([tenant.id, other.id])
        cells.move(tenant.subdomain, to="b")
        self.relay(cells["b"], told).run_once()
        assert len(told) == 2

    @pytest.mark.slow
    def test_so_is_what_is_delivered_again_after_it_failed(self, both):
        cells, tenant, _ = both
        with cells["a"].privileged(reason="test"):
            cells["a"].execute_sql("UPDATE outbox_messages SET attempts = 1, last_error = 'tell: ConnectionError'")
        moving = threading.Thread(target=cells.move, args=(tenant.subdomain,), kwargs={"to": "b"})

        def tell(message):
            if message.organization_id == tenant.id:
                moving.start()
                with connected(cells["a"].url) as connection:
                    while not rows(connection, "SELECT 1 FROM organizations WHERE moving = 'leaving'"):
                        time.sleep(0.01)
                time.sleep(1.0)  # for which nothing may be held

        outbox.relay(cells["a"], {"tell": outbox.on("*", tell)}).run_once()
        moving.join()
        with cells.tenant(tenant.subdomain):
            assert OutboxMessage.get().state == "delivered"


class TestTheCatalogue:
    def test_the_applications_role_sees_the_row_it_asks_for_and_writes_none(self, cells, north):
        make_tenant(cells, cell="b")
        with connected(cells["a"].url) as connection:
            asked = f"SET LOCAL ROLE rayces_app; SET LOCAL rayces.lookup TO '{north.subdomain}'; "
            assert rows(connection, asked + "SELECT id FROM rayces_cells.tenants") == [(north.id,)]
            assert rows(connection, "SET LOCAL ROLE rayces_app; SELECT id FROM rayces_cells.tenants") == []
            for write in ("DELETE FROM rayces_cells.tenants", "UPDATE rayces_cells.tenants SET cell = 'b'"):
                with pytest.raises(Exception, match="permission denied"):
                    rows(connection, f"SET LOCAL ROLE rayces_app; {write}")
            with pytest.raises(Exception, match="permission denied"):
                rows(connection, "SET LOCAL ROLE rayces_app; SELECT * FROM rayces_cells.moves")

    def test_a_look_up_goes_on_after_its_connection_was_ended(self, cells, north):
        assert cells.placement(north.subdomain).id == north.id
        on_server(
            cells["a"].url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rayces catalogue'",
        )
        assert cells.placement(north.subdomain).id == north.id


def test_both_codes_of_the_triggers_are_errors_of_ours():
    assert {"RYMNG": TenantMovingError, "RYMVD": TenantMovedError} == MOVES
