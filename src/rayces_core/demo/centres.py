"""Two believable centres for the demo and for tests, as `shapes` tells them; `loading` writes them."""

from __future__ import annotations

from typing import Final

from rayces_core.demo.shapes import (
    Absence,
    Centre,
    Child,
    ClosedOn,
    Duplicate,
    Group,
    HoursFrom,
    Message,
    Offer,
    OtherHours,
    Pack,
    Person,
    Profile,
    Purchase,
    Session,
    Thing,
    Wait,
    Weekly,
)
from rayces_core.models import AdmissionState, AppointmentState, Role

S = AppointmentState
MORNINGS: Final = [("09:00", "13:00")]
AFTERNOONS: Final = [("14:00", "19:00")]
WHOLE_DAY: Final = [*MORNINGS, *AFTERNOONS]

ARRAYANES: Final = Centre(
    name="Centro Arrayanes",
    subdomain="arrayanes",
    phone="+54 11 4861-0100",
    address="Av. Medrano 850, Almagro, Buenos Aires",
    people=(
        Person("graciela", "Graciela", "Sosa", Role.ADMIN, "+54 11 5010-0101"),
        Person("tomas", "Tomás", "Ibarra", Role.STAFF, "+54 11 5010-0102"),
        Person("paula", "Paula", "Ríos", Role.PROFESSIONAL, "+54 11 5010-0103"),
        Person("martin", "Martín", "Quiroga", Role.PROFESSIONAL, "+54 11 5010-0104"),
        Person("lucia", "Lucía", "Acosta", phone="+54 11 5010-0105"),
        Person("diego", "Diego", "Acosta", phone="+54 11 5010-0106"),
        Person("carolina", "Carolina", "Benítez", phone="+54 11 5010-0107"),
        Person("hernan", "Hernán", "Luque", phone="+54 11 5010-0108"),
    ),
    profiles=(
        Profile(
            "paula",
            "Lic.",
            "speech therapy",
            "MN 8412",
            {"monday": WHOLE_DAY, "wednesday": WHOLE_DAY, "friday": MORNINGS},
            1_850_000,
            later=(HoursFrom(9, {"monday": WHOLE_DAY, "thursday": WHOLE_DAY, "friday": MORNINGS}),),
            other_hours=(OtherHours(5, 5, (("10:00", "13:00"),), "Open Saturday"),),
        ),
        Profile(
            "martin",
            "Lic.",
            "child psychology",
            "MN 60127",
            {"tuesday": AFTERNOONS, "wednesday": AFTERNOONS, "thursday": AFTERNOONS},
            2_200_000,
            session_minutes=50,
            buffer_minutes=10,
            other_hours=(OtherHours(4, 2, (("14:00", "16:00"),), "Leaves early"),),
        ),
    ),
    offers=(
        Offer("Speech therapy", ("paula",), 45, 1_850_000, "#1f6feb", room_features=("mirror",)),
        Offer("Child psychology", ("martin",), 50, 2_200_000, "#8250df"),
        Offer("First evaluation", ("paula", "martin"), 60, 2_900_000, "#bf8700", 2, families_may_book=False),
    ),
    children=(
        Child("Mateo", "Acosta", "2017-04-11", "3rd grade", ("lucia", "diego"), notes="Reads with a finger guide."),
        Child("Lola", "Acosta", "2019-09-02", "1st grade", ("lucia", "dieguito")),
        Child("Bruno", "Benítez", "2016-01-23", "4th grade", ("carolina",)),
        Child("Emma", "Luque", "2018-07-30", "2nd grade", ("hernan",), AdmissionState.ADMITTED),
        Child("Simón", "Luque", "2020-12-05", "kindergarten", ("hernan",), AdmissionState.PROSPECT),
    ),
    sessions=(
        Session("paula", "Mateo", -2, 0, "09:00", S.EXECUTED),
        Session("paula", "Lola", -2, 0, "10:00", S.EXECUTED),
        Session("martin", "Bruno", -2, 1, "15:00", S.EXECUTED),
        Session("paula", "Mateo", -1, 0, "09:00", S.EXECUTED),
        Session("paula", "Lola", -1, 2, "14:00", S.NO_SHOW),
        Session("martin", "Bruno", -1, 3, "16:00", S.CANCELLED, reason="The child is ill"),
        Session("martin", "Bruno", -1, 2, "15:00", S.CONFIRMED),
        Session("paula", "Mateo", 1, 0, "09:00", S.CONFIRMED),
        Session("martin", "Bruno", 1, 1, "15:00", S.CONFIRMED),
        Session("paula", "Lola", 1, 2, "14:00", S.PRE_CONFIRMED),
        Session("martin", "Emma", 1, 3, "17:00", S.PRE_CONFIRMED, paid=False),
        Session("paula", "Emma", 2, 4, "11:00", S.DRAFT, paid=False),
        Session(*("paula", "Emma", 5, 2, "16:00", S.CONFIRMED, False), second="martin", service="First evaluation"),
        Session("paula", "Mateo", 5, 0, "10:00", S.CONFIRMED, paid=False, device="Tablet"),
        Session("martin", "Simón", 2, 1, "14:00", S.CANCELLED, paid=False, reason="Moved to another centre"),
    ),
    purchases=(
        Purchase("lucia", 8, 40, "MP-448120917"),
        Purchase("carolina", 4, 35, "MP-448237755"),
        Purchase("hernan", 4, 1, "MP-449901238", "pending"),
        Purchase("carolina", 8, 5, "MP-449777120", "failed"),
    ),
    adjustment=("hernan", 1, "Welcome credit"),
    messages=(
        Message(
            "graciela", "We open at 14:00 on Thursday: staff training in the morning.", ("lucia", "carolina", "paula")
        ),
        Message("paula", "New reading corner in room 2, please borrow the books!", ("lucia", "diego")),
        Message("lucia", "Does anybody share a taxi from Caballito on Mondays?", ("hernan",)),
    ),
    groups=(
        Group("martin", "Social skills, 6 to 9 years", 1, 1, "17:00", 4, ("Bruno", "Emma"), "Playroom"),
        Group("paula", "Reading aloud", 5, 4, "10:00", 2, ("Mateo", "Lola"), "Playroom", "Lola", "Emma"),
    ),
    things=(
        Thing("Playroom", ("carpet",)),
        Thing("Room 2", ("mirror", "ramp")),
        Thing("Room 3", ("ramp",), blocked=(ClosedOn("The walls are painted", 7, 2),)),
        Thing("Tablet", kind="device"),
    ),
    closed=(ClosedOn("Training of the team", 8, 4),),
    absences=(
        Absence("martin", 7, 1, "Dentist", ("16:00", "18:00")),
        Absence("paula", 6, 2, "Congress", events=("approve", "revoke")),
    ),
    waits=(Wait("Emma", "martin", 1, 1, ("15:00", "16:00")),),
    weekly=(Weekly("martin", "Bruno", 1, 3, "15:00", 6),),
    duplicates=(Duplicate(Person("dieguito", "Diego", "Acosta"), "diego", "Signed up again with another address"),),
    packs=(Pack("lucia", "Two workshops", 2, 30, 16), Pack("hernan", "Eight workshops", 8, 90, 2)),
)

GIRASOL: Final = Centre(
    name="Espacio Girasol",
    subdomain="girasol",
    phone="+54 351 460-0200",
    address="Bv. San Juan 410, Córdoba",
    people=(
        Person("adriana", "Adriana", "Funes", Role.ADMIN, "+54 351 601-0201"),
        Person("nicolas", "Nicolás", "Vera", Role.STAFF, "+54 351 601-0202"),
        Person("sofia", "Sofía", "Maldonado", Role.PROFESSIONAL, "+54 351 601-0203"),
        Person("ramiro", "Ramiro", "Peña", Role.PROFESSIONAL, "+54 351 601-0204"),
        Person("julia", "Julia", "Carranza", phone="+54 351 601-0205"),
        Person("pablo", "Pablo", "Olmos", phone="+54 351 601-0206"),
        Person("mariana", "Mariana", "Toledo", phone="+54 351 601-0207"),
    ),
    profiles=(
        Profile(
            "sofia",
            "Lic.",
            "occupational therapy",
            "MP 3310",
            {"monday": AFTERNOONS, "tuesday": MORNINGS, "thursday": MORNINGS},
            1_600_000,
            other_hours=(OtherHours(5, 1, (("10:00", "12:00"),), "A course before it"),),
        ),
        Profile(
            "ramiro",
            "Prof.",
            "maths tutoring",
            "MP 1092",
            {"wednesday": AFTERNOONS, "friday": AFTERNOONS},
            900_000,
            60,
            later=(HoursFrom(9, {"monday": AFTERNOONS, "wednesday": AFTERNOONS, "friday": AFTERNOONS}),),
            other_hours=(OtherHours(4, 0, (("16:00", "19:00"),), "Reports to the families"),),
        ),
    ),
    offers=(
        Offer("Occupational therapy", ("sofia",), 45, 1_600_000, "#1a7f37"),
        Offer("Maths tutoring", ("ramiro",), 60, 900_000, "#cf222e"),
    ),
    children=(
        Child("Delfina", "Carranza", "2018-03-19", "2nd grade", ("julia",), notes="Allergic to latex gloves."),
        Child("Benjamín", "Olmos", "2015-10-08", "5th grade", ("pablo",)),
        Child("Isabella", "Olmos", "2017-06-27", "3rd grade", ("pablo", "juli")),
        Child("Thiago", "Toledo", "2014-02-14", "6th grade", ("mariana",), AdmissionState.ON_LEAVE),
    ),
    sessions=(
        Session("sofia", "Delfina", -2, 1, "09:00", S.EXECUTED),
        Session("ramiro", "Benjamín", -2, 2, "16:00", S.EXECUTED),
        Session("sofia", "Delfina", -1, 1, "09:00", S.EXECUTED),
        Session("ramiro", "Isabella", -1, 4, "15:00", S.NO_SHOW),
        Session("ramiro", "Benjamín", -1, 4, "17:00", S.CANCELLED, reason="School outing"),
        Session("sofia", "Delfina", -1, 3, "10:00", S.CONFIRMED, paid=False),
        Session("sofia", "Delfina", 1, 1, "09:00", S.CONFIRMED),
        Session("ramiro", "Benjamín", 1, 2, "16:00", S.PRE_CONFIRMED),
        Session("sofia", "Isabella", 1, 3, "10:00", S.PRE_CONFIRMED, paid=False),
        Session("sofia", "Isabella", 2, 0, "15:00", S.DRAFT, paid=False),
        Session("sofia", "Isabella", 4, 0, "17:00", S.CONFIRMED, paid=False, second="ramiro"),
        Session("sofia", "Delfina", 5, 3, "10:00", S.CONFIRMED, paid=False, device="Balance board"),
    ),
    purchases=(
        Purchase("julia", 4, 38, "MP-551200871"),
        Purchase("pablo", 6, 30, "MP-551309442"),
        Purchase("mariana", 4, 0, "MP-552887610", "pending"),
    ),
    adjustment=("julia", -1, "Credit bought twice, returned in cash"),
    messages=(
        Message("adriana", "The garden room is ready. Come and see it!", ("julia", "pablo", "mariana", "sofia")),
        Message("pablo", "Benjamín passed his maths exam, thank you Ramiro.", ("ramiro", "adriana")),
    ),
    groups=(
        Group("ramiro", "Maths for the 5th grade", 1, 4, "15:00", 3, ("Isabella",), "Blue room"),
        Group("ramiro", "Chess", 5, 4, "16:00", 2, ("Isabella", "Benjamín"), "Blue room", "Benjamín", "Delfina"),
    ),
    things=(
        Thing("Blue room", ("blackboard",)),
        Thing("Balance board", kind="device"),
        Thing("Garden room", ("ramp",), blocked=(ClosedOn("The roof is mended", 7, 3),)),
    ),
    closed=(ClosedOn("Anniversary of the centre", 8, 0),),
    absences=(Absence("ramiro", 7, 4, "Wedding"), Absence("sofia", 6, 1, "Course", events=("approve", "revoke"))),
    waits=(Wait("Isabella", "sofia", 1, 1, ("09:00", "10:00")),),
    weekly=(Weekly("ramiro", "Delfina", 1, 2, "14:00", 6),),
    duplicates=(Duplicate(Person("juli", "Julia", "Carranza"), "julia", "Wrote from the address of her work"),),
    packs=(Pack("pablo", "Two workshops", 2, 30, 16), Pack("julia", "Eight workshops", 8, 90, 2)),
)

CENTRES: Final = (ARRAYANES, GIRASOL)
