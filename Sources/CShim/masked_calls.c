/*
 * Functions that show rows past every query, refused to sessions that see masks: logical decoding, pages of tables
 * and of the log, texts of statements by a road on which they cannot be left out. And sessions for logical
 * replication.
 */
#include "shim.h"

#include "utils/fmgroids.h"

/* Decodes changes, or makes what another session, or a copy of the slot, decodes them from. */
static bool
decodes_changes(Oid function)
{
	switch (function)
	{
		case F_PG_LOGICAL_SLOT_GET_CHANGES:
		case F_PG_LOGICAL_SLOT_PEEK_CHANGES:
		case F_PG_LOGICAL_SLOT_GET_BINARY_CHANGES:
		case F_PG_LOGICAL_SLOT_PEEK_BINARY_CHANGES:
		case F_PG_CREATE_LOGICAL_REPLICATION_SLOT:
		case F_PG_COPY_LOGICAL_REPLICATION_SLOT_NAME_NAME:
		case F_PG_COPY_LOGICAL_REPLICATION_SLOT_NAME_NAME_BOOL:
		case F_PG_COPY_LOGICAL_REPLICATION_SLOT_NAME_NAME_BOOL_NAME:
			return true;
		default:
			return false;
	}
}

static void
refuse(Oid function, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("function %s is not open to sessions that see masked values", get_func_name(function)),
			 errdetail("%s", why),
			 errhint("A member of warden_admin can exempt you with warden.exempt().")));
}

void
warden_masked_call(Oid function)
{
	WardenFunction *facts = function < FirstNormalObjectId ? NULL : warden_function(function);

	if (decodes_changes(function) && warden_anything_masked())
		refuse(function, "Changes are decoded with real values.");
	/* where it is in the query, another one is called in its place */
	if (function == F_PG_STAT_GET_BACKEND_ACTIVITY && warden_anything_masked())
		refuse(function, "It tells the statements of others, which may hold real values.");
	if (facts != NULL && facts->shows_pages && warden_anything_masked())
		refuse(function, "It shows what tables hold as it is stored.");
}

/* --- replication --- */

void
warden_masked_replication(void)
{
	if (!warden_any_masks || !warden_anything_masked())
		return;
	ereport(FATAL,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("logical replication is not open to sessions that see masked values"),
			 errdetail("Changes are decoded with real values."),
			 errhint("A member of warden_admin can exempt the role from every mask with warden.exempt().")));
}
