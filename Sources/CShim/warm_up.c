/*
 * The Swift runtime makes the metadata of generic types (arrays of guards, dictionaries …) when a process first uses
 * them: hundreds of page faults, and look-ups by mangled name, that every new session would pay for. The postmaster does
 * it once instead: what it has made, its children inherit.
 *
 * A policy of two rows is compiled, decided by, recorded and dropped again; nothing of it stays in force.
 */
#include "shim.h"

#include "catalog/pg_class.h"

#define SAMPLE_RING (64 * 1024)

static void
compile_sample(void)
{
	const WardenText statements[] = {warden_text("write"), warden_text("ddl"), warden_text("CREATE INDEX")};
	const WardenObjectPattern objects[] = {{.text = warden_text("*")}, {.text = warden_text("a.*")},
	{.text = warden_text("a.b"), .object = 1}, {.text = warden_text("a.b.c"), .object = 1, .column = 1}};
	const WardenSubjectPattern subjects[] = {{.text = warden_text("role:a"), .role = 1}, {.text = warden_text("*")},
	{.text = warden_text("application:a*")}};
	const WardenText environments[] = {warden_text("*")};
	const WardenGuard guard = {
		.name = warden_text("a"), .action = warden_text("block"), .statements = statements,
		.statement_count = lengthof(statements), .objects = objects, .object_count = lengthof(objects),
		.subjects = subjects, .subject_count = lengthof(subjects), .environments = environments, .environment_count = 1
	};
	const WardenExemption exemption = {
		.id = 1, .subjects = subjects, .subject_count = 1, .targets = objects, .target_count = lengthof(objects),
		.until = INT64_MAX
	};
	WardenVerdict verdict;
	bool		added;

	SWIFT(warden_policy_begin());
	SWIFT_GET(added, warden_policy_add_guard(&guard, warden_texts(), &verdict));
	SWIFT_GET(added, warden_policy_add_exemption(&exemption, warden_texts(), &verdict));
	(void) added;
	SWIFT(warden_policy_commit());
}

/* One statement that is let through, and one that is refused. */
static void
decide_sample(const WardenSession *session, WardenStatement *statement)
{
	WardenVerdict verdict;

	SWIFT(warden_decide(session, statement, warden_texts(), &verdict));
	statement->classes = WARDEN_CLASS_DELETE;
	SWIFT(warden_decide(session, statement, warden_texts(), &verdict));
	statement->classes = WARDEN_CLASS_READ;
}

static void
record_sample(const WardenSession *session, const WardenStatement *statement)
{
	uint8_t    *data = palloc0(SAMPLE_RING);
	WardenRing	ring = {.capacity = SAMPLE_RING, .session = 1, .database = 1, .state = WARDEN_RING_OWNED};
	uint8_t		bytes[512];
	WardenBuffer context = {bytes, sizeof(bytes), 0};
	uint64_t	counter = 1;
	int64_t		position;
	bool		in_place;
	WardenUnresolved unresolved;
	const WardenCompletion completion = {.rows = 1, .bytes = 1, .duration = 1};
	WardenRecord record = {
		.event = WARDEN_EVENT_STATEMENT, .at = 1, .session = 1, .statement_no = 1, .transaction = 1,
		.text = warden_text("SELECT 'a' FROM a.b WHERE password = 'c'"), .text_limit = 1024, .statement = statement,
		.completion = {.rows = -1, .bytes = -1, .duration = -1}
	};

	SWIFT(warden_context_encode(session, &context));
	record.context = (WardenText) {context.bytes, context.length};
	SWIFT_GET(position, warden_ring_append(&ring, data, &counter, &record));
	SWIFT_GET(in_place, warden_ring_complete(&ring, data, position, &completion, WARDEN_OUTCOME_OPEN));
	(void) in_place;
	SWIFT(warden_ring_resolve(&ring, data, 0, 1, 0, WARDEN_OUTCOME_COMMITTED, false, &unresolved));
	pfree(data);
}

void
warden_warm_up(void)
{
	static const uint32_t roles[] = {2};
	const WardenText columns[] = {warden_text("c"), warden_text("d")};
	static const int16_t numbers[] = {1, 2};
	const WardenObject object = {
		.catalog = RelationRelationId, .oid = 1, .schema = 1, .kind = warden_text("table"), .name = warden_text("a.b"),
		.columns = columns, .column_count = lengthof(columns)
	};
	const WardenAccess access = {
		.object = &object, .classes = WARDEN_CLASS_READ, .read_columns = numbers, .read_count = 2
	};
	WardenStatement statement = {
		.classes = WARDEN_CLASS_READ, .command = warden_text("SELECT"), .accesses = &access, .access_count = 1
	};
	const WardenSession session = {
		.session_user_oid = 2, .role_oid = 2, .mode = WARDEN_MODE_ENFORCE, .role_memberships = roles,
		.role_membership_count = 1, .user_memberships = roles, .user_membership_count = 1,
		.database = warden_text("a"), .session_user = warden_text("a"), .role = warden_text("a"),
		.application = warden_text("a"), .environment = warden_text("a")
	};

	compile_sample();
	decide_sample(&session, &statement);
	record_sample(&session, &statement);
	SWIFT(warden_policy_discard());
}
