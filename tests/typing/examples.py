"""What a host's type checker has to see: each `reveal_type` with the type beside it. Checked, never run."""

from typing import reveal_type

from rayces_core import Appointment, CreditBalance, Database, Post, Student, TenantForeignKey, TenantModel, User
from rayces_core.fields import BooleanField, IntegerField, TextField, UTCDateTimeField

db = Database.connect("postgresql://host/name")
with db.tenant("north") as organization:
    reveal_type(organization)  # Organization
reveal_type(db.create_organization("North", subdomain="north"))  # Organization
reveal_type(organization.name)  # str
reveal_type(db.use("north"))  # Organization
reveal_type(db.use(organization))  # Organization

appointment = Appointment.get_by_id(1)
reveal_type(appointment)  # Appointment
reveal_type(appointment.client)  # User
reveal_type(appointment.client_id)  # int
reveal_type(appointment.student)  # Student
reveal_type(appointment.professional)  # Professional
reveal_type(appointment.cancelled_by)  # User | None
reveal_type(appointment.organization)  # Organization
reveal_type(appointment.organization_id)  # int
reveal_type(appointment.state)  # AppointmentState
reveal_type(appointment.scheduled_at)  # datetime
reveal_type(appointment.cancelled_at)  # datetime | None
reveal_type(appointment.uses_credit)  # bool
reveal_type(appointment.client.email)  # str
reveal_type(Post.get().user)  # User

for scoped in Appointment.upcoming():
    reveal_type(scoped)  # Appointment
for scoped in Appointment.upcoming().for_client(1).where(Appointment.client == 1).order_by(Appointment.id):
    reveal_type(scoped)  # Appointment
for scoped in Appointment.select().in_state("confirmed"):
    reveal_type(scoped)  # Appointment
reveal_type(Appointment.in_state("draft").get())  # Appointment
reveal_type(Appointment.for_professional(1).first())  # Appointment | None
reveal_type(Appointment.upcoming()[0])  # Appointment
reveal_type(Appointment.upcoming().count())  # int

student = Student.create(first_name="Luz", last_name="Sosa")
reveal_type(student)  # Student
reveal_type(student.id)  # int
reveal_type(student.first_name)  # str
reveal_type(student.date_of_birth)  # date | None
reveal_type(student.primary_contact)  # User | None
reveal_type(student.primary_contact_id)  # int | None
reveal_type(student.is_dirty())  # bool
for row in Student.select().where(Student.first_name == "Luz"):
    reveal_type(row)  # Student
for row in Student:
    reveal_type(row)  # Student
reveal_type(Student[1])  # Student
reveal_type(Student.get(Student.id == 1))  # Student
reveal_type(Student.get_or_none(Student.id == 1))  # Student | None
reveal_type(Student.get_or_create(first_name="Luz"))  # tuple[Student, bool]
reveal_type(Student.select().get())  # Student
reveal_type(Student.select().first())  # Student | None
reveal_type(Student.filter(first_name="Luz").get_or_none())  # Student | None
reveal_type(Student.alias().select().get())  # Student
reveal_type(CreditBalance.get_by_id(1).user)  # User


class Note(TenantModel):
    """A host's own model."""

    student = TenantForeignKey(Student, backref="notes")
    author = TenantForeignKey(User, null=True)
    text = TextField()
    title = TextField(null=True)
    stars = IntegerField()
    shown = BooleanField(default=True)
    read_at = UTCDateTimeField(null=True)


note = Note.get_by_id(1)
reveal_type(note)  # Note
reveal_type(note.id)  # int
reveal_type(note.student)  # Student
reveal_type(note.author)  # User | None
reveal_type(note.text)  # str
reveal_type(note.title)  # str | None
reveal_type(note.stars)  # int
reveal_type(note.shown)  # bool
reveal_type(note.read_at)  # datetime | None
reveal_type(note.organization)  # Organization
for each in Note.select().where(Note.student == student):
    reveal_type(each.student.first_name)  # str

user = User.get_by_id(1)
reveal_type(user.posts.count())  # int
reveal_type(user.booked_appointments.exists())  # bool
