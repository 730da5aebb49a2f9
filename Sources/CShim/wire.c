/*
 * What a session sends to its client, counted where messages leave: the rows, copied data and notices. Messages that
 * only keep the protocol going are not counted, so that the figure is the same in each of its modes.
 *
 * A parallel worker has methods of its own, and sends to its leader.
 */
#include "shim.h"

/* of the port structure nothing is used here; its definition would need the headers of Kerberos */
#undef ENABLE_GSS
#undef ENABLE_SSPI
#include "libpq/libpq.h"

uint64		warden_bytes_sent = 0;

static PQcommMethods methods;
static const PQcommMethods *previous = NULL;

/* Type and length go along with each message. */
#define MESSAGE_HEADER 5

static inline void
count(char type, size_t length)
{
	switch (type)
	{
		case 'D':				/* a row */
		case 'd':				/* COPY */
		case 'N':				/* a notice */
		case 'V':				/* what a function called by the fast path returned */
			warden_bytes_sent += MESSAGE_HEADER + length;
			break;
		case 'C':				/* the statement is over */
			warden_audit_sent();
			break;
		default:
			break;
	}
}

static int
put(char type, const char *bytes, size_t length)
{
	count(type, length);
	return previous->putmessage(type, bytes, length);
}

static void
put_without_blocking(char type, const char *bytes, size_t length)
{
	count(type, length);
	previous->putmessage_noblock(type, bytes, length);
}

void
warden_wire_install(void)
{
	previous = PqCommMethods;
	methods = *previous;
	methods.putmessage = put;
	methods.putmessage_noblock = put_without_blocking;
	PqCommMethods = &methods;
}
