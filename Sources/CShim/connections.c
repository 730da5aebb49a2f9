/*
 * Sessions as events of the audit: connect, disconnect, auth_failed.
 *
 * A session is established when the transaction in which the server prepares it commits: authentication, the right to
 * connect and the limits of connections are behind it then. What fails before is a FATAL error, seen on its way to the
 * server's log. Neither may keep anybody out: nothing here waits for room or raises an error, and where a ring cannot
 * be had at once, the start of the session is recorded with its first statement, or at its end.
 *
 * Guards on `connect` are asked at the same point. Who may not connect gets a FATAL error, a superuser too; the way back is
 * the configuration file: warden.mode = off or monitor.
 */
#include "client_port.h"
#include "shim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "utils/builtins.h"
#include "utils/elog.h"
#include "utils/fmgroids.h"
#include "utils/relcache.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* How long the end of a session waits for the first check of the counter after the server's start, in microseconds. */
#define PATIENCE (2 * USECS_PER_SEC)

bool		warden_connecting = false;

static ClientAuthentication_hook_type previous_authentication = NULL;
static emit_log_hook_type previous_log = NULL;

static bool established = false;
/* The start of the session is to be recorded, and is not yet; it was recorded. */
static bool start_due = false;
static bool start_recorded = false;
static TimestampTz started_at = 0;
static char start_text[512];

/* What ended the session, where the server did. */
static char last_sqlstate[8];
static char last_message[160];

static const WardenStatement connection = {.classes = WARDEN_CLASS_CONNECT};

/* What guards on `connect` said of the session, until its start is recorded; its texts that are kept. */
static WardenVerdict verdict = {.action = WARDEN_ACTION_ALLOW, .decision = WARDEN_DECISION_ALLOWED};
static bool refusing = false;
static char guard_name[NAMEDATALEN];
static char guard_message[256];

static bool
recording(void)
{
	return (warden_audit_classes & WARDEN_CLASS_CONNECT) != 0 && !RecoveryInProgress();
}

/* key=value, in quotes where the value would not be one word. */
static void
add_pair(char *text, size_t capacity, const char *key, const char *value)
{
	size_t		length = strlen(text);
	bool		is_word = value != NULL && value[0] != '\0' && strpbrk(value, " \"\\\t\r\n") == NULL;

	if (value == NULL || length + strlen(key) + 8 > capacity)
		return;
	length += snprintf(text + length, capacity - length, "%s%s=%s", length > 0 ? " " : "", key, is_word ? "" : "\"");
	for (; *value != '\0' && length + 4 < capacity; value++)
	{
		if (*value == '"' || *value == '\\')
			text[length++] = '\\';
		text[length++] = *value;
	}
	if (!is_word)
		text[length++] = '"';
	text[length] = '\0';
}

static void
describe_authentication(char *text, size_t capacity, Port *port)
{
	if (port->hba != NULL && port->hba->auth_method != uaImplicitReject)
		add_pair(text, capacity, "authentication method", hba_authname(port->hba->auth_method));
	add_pair(text, capacity, "identity", WARDEN_AUTHN_ID(port));
#ifdef USE_SSL
	if (port->ssl_in_use)
	{
		add_pair(text, capacity, "ssl", be_tls_get_version(port));
		add_pair(text, capacity, "cipher", be_tls_get_cipher(port));
	}
#endif
}

static WardenRecord
event_record(WardenEvent event, TimestampTz at, const char *text)
{
	WardenRecord record = {0};

	record.event = event;
	record.decision = verdict.decision;
	record.guard = verdict.guard;
	record.outcome = WARDEN_OUTCOME_COMMITTED;
	record.at = at;
	record.session = warden_session_number;
	record.context = warden_session_context;
	record.statement = &connection;
	record.text = warden_text(text);
	record.text_limit = 4096;
	record.completion.rows = record.completion.bytes = record.completion.duration = -1;
	return record;
}

/* --- the session begins --- */

static void
authenticated(Port *port, int status)
{
	if (previous_authentication)
		previous_authentication(port, status);
	if (status == STATUS_OK)
		warden_connecting = true;
}

static void
record_alert(void)
{
	WardenRecord alert;
	WardenStatement about;
	WardenAccess object;

	warden_alert_record(&alert, &about, &object, &connection, &verdict);
	(void) warden_audit_session_event(&alert);
}

static void
record_start(void)
{
	WardenRecord record = event_record(WARDEN_EVENT_CONNECT, started_at, start_text);

	start_recorded = warden_audit_session_event(&record);
	start_due = false;
	if (verdict.action == WARDEN_ACTION_ALERT)
		record_alert();
	/* its end is no decision */
	verdict = (WardenVerdict) {.action = WARDEN_ACTION_ALLOW, .decision = WARDEN_DECISION_ALLOWED};
}

void
warden_connection_recorded_late(void)
{
	if (start_due)
		record_start();
}

/* In a ring taken for this one record. */
static void
record_apart(int slot, const WardenRecord *record)
{
	int			ring;

	for (int64 waited = 0; !warden_shared_database(slot)->ready && waited < PATIENCE; waited += 10000)
		pg_usleep(10000);
	if (!warden_shared_database(slot)->ready ||
		(ring = warden_ring_take(warden_spool_database(slot)->database, warden_session_number, false)) < 0)
	{
		ereport(LOG, (errmsg("pg_warden could not record a connection"), errhidestmt(true)));
		return;
	}
	(void) warden_ring_write(ring, slot, record);
	warden_ring_leave(ring);
}

/* A connection for physical replication is in no database and gets to see all of them. */
static void
record_start_everywhere(void)
{
	WardenRecord record;

	start_due = false;
	warden_session_refresh();
	record = event_record(WARDEN_EVENT_CONNECT, started_at, start_text);
	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
		if (OidIsValid(warden_spool_database(slot)->database))
			record_apart(slot, &record);
}

/*
 * A policy that cannot be read keeps nobody out: every statement will be refused but the way out. It is read in a
 * subtransaction, since an error would be FATAL here.
 */
static bool
policy_is_there(void)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		governed = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		governed = warden_governed();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		EmitErrorReport();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		governed = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return governed;
}

static WardenText
kept(char *room, size_t size, WardenText text)
{
	strlcpy(room, text.bytes != NULL ? warden_cstring(text) : "", size);
	return warden_text(text.bytes != NULL ? room : NULL);
}

/* What is decided of a session that begins: a refusal is recorded on its way to the log. */
static void
decide(const WardenFacts *facts)
{
	WardenVerdict now;

	warden_decide_facts(facts, &now);
	if (now.guard.bytes == NULL)
		return;
	verdict = now;
	verdict.guard = kept(guard_name, sizeof(guard_name), now.guard);
	verdict.object = NULL;
	refusing = now.action == WARDEN_ACTION_BLOCK || now.action == WARDEN_ACTION_REQUIRE_APPROVAL;
	if (refusing)
		warden_raise_fatal(&verdict);
	verdict.message = kept(guard_message, sizeof(guard_message), now.message);
}

/*
 * A session of this server that connects to this server would leave its own identity behind; options can be LOAD by another
 * name.
 */
static void
decide_on_roads(void)
{
	bool		inside = warden_peer_is_backend();
	bool		preloads = warden_client_preloads();
	WardenFacts facts;

	if (likely(!inside && !preloads) || !warden_governed())
		return;
	warden_facts_begin(&facts, inside ? "CONNECT from this server itself" : "CONNECT with libraries to load");
	facts.statement.classes = (inside ? WARDEN_CLASS_SERVER_FILE : 0) | (preloads ? WARDEN_CLASS_SYSTEM : 0);
	decide(&facts);
}

static void
decide_on_connect(void)
{
	WardenFacts facts;

	if (warden_mode == WARDEN_MODE_OFF || !OidIsValid(MyDatabaseId) || !policy_is_there() ||
		(warden_guarded_classes & WARDEN_CLASS_CONNECT) == 0)
		return;
	warden_facts_begin(&facts, "CONNECT");
	(void) warden_facts_access(&facts, warden_other_object(DatabaseRelationId, MyDatabaseId), WARDEN_CLASS_CONNECT);
	decide(&facts);
}

/* A session for logical replication decodes what it likes: there is no statement of it to be seen. */
static void
refuse_masked_replication(void)
{
	if (likely(MyBackendType != B_WAL_SENDER) || !OidIsValid(MyDatabaseId) || !policy_is_there())
		return;
	warden_session_refresh();
	warden_masked_replication();
}

void
warden_connection_established(void)
{
	int			slot;

	warden_connecting = false;
	decide_on_connect();
	decide_on_roads();
	refuse_masked_replication();
	established = true;
	if (!recording())
		return;
	start_due = true;
	started_at = GetCurrentTimestamp();
	/* the line of pg_hba.conf is not kept for longer than this */
	describe_authentication(start_text, sizeof(start_text), MyProcPort);
	if (!OidIsValid(MyDatabaseId))
	{
		add_pair(start_text, sizeof(start_text), "replication", "physical");
		record_start_everywhere();
		return;
	}
	slot = warden_database_slot(MyDatabaseId, false);
	if (slot < 0)
		return;
	warden_session_refresh();
	if (warden_audit_take_early(slot))
		record_start();
}

/* --- the session ends --- */

/* The counter of this database was not checked since the server's start: its writer does so when it starts. */
static void
take_ring_at_last(void)
{
	int			slot = warden_database_slot(MyDatabaseId, false);

	if (slot < 0 || warden_session_number == 0)
		return;
	for (int64 waited = 0; !warden_shared_database(slot)->ready && waited < PATIENCE; waited += 10000)
		pg_usleep(10000);
	if (warden_audit_take_early(slot))
		record_start();
}

void
warden_connection_over(int code)
{
	char		text[96];
	WardenRecord record;
	TimestampTz now = GetCurrentTimestamp();

	if (start_due)
		take_ring_at_last();
	if (!start_recorded)
		return;
	start_recorded = false;
	snprintf(text, sizeof(text), "statements=" UINT64_FORMAT " reason=%s", warden_audit_statements(),
			 code == 0 ? "closed" : "terminated");
	record = event_record(WARDEN_EVENT_DISCONNECT, now, text);
	record.completion.duration = now - MyStartTimestamp;
	if (code != 0)
	{
		record.outcome = WARDEN_OUTCOME_FAILED;
		memcpy(record.completion.sqlstate, last_sqlstate, sizeof(last_sqlstate));
		record.completion.error = warden_text(last_message[0] != '\0' ? last_message : NULL);
	}
	(void) warden_audit_session_event(&record);
}

/* --- the session is refused --- */

/* As the server itself does it at this stage: shared catalogs can be read, their indexes perhaps not yet. */
static Oid
database_named(const char *name)
{
	Relation	rel = table_open(DatabaseRelationId, AccessShareLock);
	NameData	key_name;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			oid = InvalidOid;

	namestrcpy(&key_name, name);
	ScanKeyInit(&key, Anum_pg_database_datname, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&key_name));
	scan = systable_beginscan(rel, DatabaseNameIndexId, criticalSharedRelcachesBuilt, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		oid = ((Form_pg_database) GETSTRUCT(tuple))->oid;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return oid;
}

/* Which of its own reasons a role gives to be refused; `otherwise` where it gives none. */
static const char *
role_reason(const char *name, const char *otherwise)
{
	HeapTuple	tuple = name ? SearchSysCache1(AUTHNAME, CStringGetDatum(name)) : NULL;
	const char *reason = otherwise;
	Datum		until;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return "no_such_role";
	until = SysCacheGetAttr(AUTHNAME, tuple, Anum_pg_authid_rolvaliduntil, &isnull);
	if (!((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin)
		reason = "login_not_permitted";
	else if (!isnull && DatumGetTimestampTz(until) < GetCurrentTimestamp())
		reason = "expired";
	ReleaseSysCache(tuple);
	return reason;
}

/* By codes and untranslated messages, so that it is the same word in every language. */
static const char *
reason_of(const ErrorData *error, const Port *port)
{
	const char *message = error->message_id ? error->message_id : "";

	if (refusing)
		return "guard";
	switch (error->sqlerrcode)
	{
		case ERRCODE_INVALID_PASSWORD:
			return role_reason(port->user_name, "wrong_password");
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			if (strncmp(message, "no pg_hba.conf entry", 20) == 0)
				return "no_hba_entry";
			if (strncmp(message, "pg_hba.conf rejects", 19) == 0)
				return "hba_rejects";
			return role_reason(port->user_name, "authentication_failed");
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return strncmp(message, "permission denied for database", 30) == 0 ? "no_connect_privilege" : "not_permitted";
		case ERRCODE_UNDEFINED_DATABASE:
			return "no_such_database";
		case ERRCODE_TOO_MANY_CONNECTIONS:
			return "too_many_connections";
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
			return "no_connections_allowed";
		case ERRCODE_QUERY_CANCELED:
			return "timeout";
		case ERRCODE_ADMIN_SHUTDOWN:
		case ERRCODE_CANNOT_CONNECT_NOW:
			return "shutdown";
		default:
			return "other";
	}
}

/* What the client said of itself: its session has no more facts yet. */
static WardenText
claimed_context(const Port *port)
{
	static uint8_t bytes[4096];
	WardenBuffer context = {bytes, sizeof(bytes), 0};
	WardenSession session = {0};
	const char *database = port->database_name;

	session.database = warden_text(database != NULL && database[0] != '\0' ? database : NULL);
	session.session_user = warden_text(port->user_name);
	session.application = warden_text(port->application_name);
	session.client_address = warden_client_address();
	session.environment = warden_text(warden_environment);
	SWIFT(warden_context_encode(&session, &context));
	return (WardenText) {context.bytes, context.length};
}

/* In the database that the client asked for, if it is governed; where there is no such database, in every governed one. */
static void
record_refusals(const WardenRecord *record, const Port *port)
{
	Oid			database = MyDatabaseId;

	if (!OidIsValid(database) && port->database_name != NULL && port->database_name[0] != '\0')
		database = database_named(port->database_name);
	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
	{
		Oid			governed = warden_spool_database(slot)->database;

		if (OidIsValid(governed) && (!OidIsValid(database) || database == governed))
			record_apart(slot, record);
	}
}

static void
refused(const ErrorData *error, Port *port)
{
	char		text[512] = "";
	WardenRecord record;

	warden_session_identify();
	add_pair(text, sizeof(text), "reason", reason_of(error, port));
	describe_authentication(text, sizeof(text), port);
	record = event_record(WARDEN_EVENT_AUTH_FAILED, GetCurrentTimestamp(), text);
	record.context = refusing ? warden_session_context : claimed_context(port);
	record.outcome = refusing ? WARDEN_OUTCOME_BLOCKED : WARDEN_OUTCOME_FAILED;
	strlcpy(record.completion.sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(record.completion.sqlstate));
	record.completion.error = warden_text(error->message);
	record_refusals(&record, port);
}

static void
on_its_way_to_the_log(ErrorData *error)
{
	static bool busy = false;

	if (previous_log)
		previous_log(error);
	if (error->elevel != FATAL || MyProcPort == NULL || busy)
		return;
	busy = true;
	if (established)
	{
		strlcpy(last_sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(last_sqlstate));
		strlcpy(last_message, error->message ? error->message : "", sizeof(last_message));
	}
	/* before the process is a member of the server, nothing shared can be used */
	else if (MyProc != NULL && IsTransactionState() && warden_any_database() && recording())
		refused(error, MyProcPort);
	busy = false;
}

void
warden_connections_install(void)
{
	previous_authentication = ClientAuthentication_hook;
	ClientAuthentication_hook = authenticated;
	previous_log = emit_log_hook;
	emit_log_hook = on_its_way_to_the_log;
}
