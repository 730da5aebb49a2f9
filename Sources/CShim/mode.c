/*
 * Changes of warden.mode, told to the audit: an event `policy` in each governed database, once.
 *
 * Whoever notices first tells: a session before its first record under the new mode, so before the mode takes effect on any
 * statement there; the launcher where no session does. After a start of the server `enforce` is nothing to tell of.
 */
#include "shim.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

/* Every session looks once, and after each change. */
bool		warden_mode_to_tell = true;

static const char *const mode_names[] = {"off", "monitor", "enforce"};

/* True where this process is to tell of it, `before` being the mode until now. */
static bool
claim(WardenSharedDatabase *shared, uint32 *before)
{
	uint32		now = (uint32) warden_mode + 1;

	*before = warden_load_acquire32(&shared->told_mode);
	if (*before == now || !warden_compare_exchange(&shared->told_mode, *before, now))
		return false;
	return *before != 0 || warden_mode != WARDEN_MODE_ENFORCE;
}

static WardenRecord
mode_record(uint32 before, char *text, size_t size)
{
	WardenRecord record = {0};

	snprintf(text, size, "warden.mode = %s (before: %s), by the server's configuration", mode_names[warden_mode],
			 mode_names[before == 0 ? WARDEN_MODE_ENFORCE : before - 1]);
	record.event = WARDEN_EVENT_POLICY;
	record.outcome = WARDEN_OUTCOME_COMMITTED;
	record.at = GetCurrentTimestamp();
	record.session = warden_session_number;
	record.context = warden_session_context;
	record.text = warden_text(text);
	record.text_limit = 256;
	record.completion.rows = record.completion.bytes = record.completion.duration = -1;
	return record;
}

void
warden_mode_tell(void)
{
	int			slot = warden_database_slot(MyDatabaseId, false);
	char		text[128];
	uint32		before;
	WardenRecord record;

	if (slot < 0)
		return;
	warden_mode_to_tell = false;
	if (!claim(warden_shared_database(slot), &before))
		return;
	record = mode_record(before, text, sizeof(text));
	if (!warden_audit_session_event(&record))
		warden_shared_database(slot)->told_mode = before;
}

static void
tell_apart(int slot)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);
	Oid			database = warden_spool_database(slot)->database;
	char		text[128];
	uint32		before;
	WardenRecord record;
	int			ring;

	if (!OidIsValid(database) || !shared->ready || !claim(shared, &before))
		return;
	record = mode_record(before, text, sizeof(text));
	ring = warden_ring_take(database, warden_session_number, true);
	if (ring < 0 || warden_ring_write(ring, slot, &record) < 0)
		shared->told_mode = before;
	if (ring >= 0)
		warden_ring_leave(ring);
}

void
warden_mode_tell_everywhere(void)
{
	warden_session_identify();
	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
		tell_apart(slot);
}
