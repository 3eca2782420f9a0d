"""Calendar files as others read them."""

from icalendar import Calendar


def events_of(file):
    """UID → event."""
    return {str(event["UID"]): event for event in Calendar.from_ical(file).walk("VEVENT")}


def only_event(file):
    (event,) = events_of(file).values()
    return event


def a_calendar(*events, before=""):
    """A file with these events, each given as lines."""
    made = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//elsewhere//EN\n{before}{made}END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def an_event(starts, ends, uid="one@elsewhere", *more):
    lines = "\n".join(more)
    return f"UID:{uid}\nDTSTAMP:20310101T000000Z\nDTSTART{starts}\nDTEND{ends}\n{lines}"
