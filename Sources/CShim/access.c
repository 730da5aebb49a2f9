/*
 * The object access hook: what a statement reaches without naming it. DROP … CASCADE, DROP OWNED, TRUNCATE CASCADE
 * and every function that runs pass here, each object before it is touched.
 */
#include "shim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_default_acl.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_user_mapping.h"
#include "catalog/pg_database.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "nodes/parsenodes.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

static object_access_hook_type previous_hook = NULL;

/* The utility statement under way drops our extension: its members may fall, under break-glass. */
bool		warden_dropping_extension = false;

/* A statement of the client's can reach the same object many times: what is let through is told of once, by guard. */
static bool
is_told(const WardenFacts *facts, const WardenVerdict *verdict)
{
	static struct
	{
		TimestampTz message;
		uint64		statement;
		uint32		oid;
		uint32		guard;
	}			told[32];
	static int	next = 0;
	uint64		statement = warden_audit_top_statement();
	const WardenObject *object = facts->count > 0 ? facts->accesses[0].object : NULL;
	uint32		oid = object != NULL ? object->oid : 0;
	uint32		guard = hash_bytes(verdict->guard.bytes, (int) verdict->guard.length);

	/* what DROP takes along was decided on, and told, with the statement */
	if (warden_utility_now != NULL && IsA(warden_utility_now, DropStmt) &&
		(facts->statement.classes & WARDEN_CLASS_DROP) != 0)
		return true;
	for (int i = 0; i < (int) lengthof(told); i++)
		if (told[i].message == GetCurrentStatementStartTimestamp() && told[i].statement == statement &&
			told[i].oid == oid && told[i].guard == guard)
			return true;
	told[next].message = GetCurrentStatementStartTimestamp();
	told[next].statement = statement;
	told[next].oid = oid;
	told[next].guard = guard;
	next = (next + 1) % (int) lengthof(told);
	return false;
}

static bool
is_silent(const WardenVerdict *verdict)
{
	return verdict->action == WARDEN_ACTION_ALLOW && verdict->decision != WARDEN_DECISION_WOULD_BLOCK &&
		verdict->decision != WARDEN_DECISION_WOULD_REQUIRE_APPROVAL;
}

/* What was reached is a record of its own, a child of the statement that reached it. */
void
warden_decide_reached(const WardenFacts *facts, WardenVerdict *verdict)
{
	WardenRecorded recorded = {.position = -1};
	WardenSource source;
	bool		refused;

	warden_decide_facts(facts, verdict);
	refused = verdict->action == WARDEN_ACTION_BLOCK || verdict->action == WARDEN_ACTION_REQUIRE_APPROVAL;
	if (is_silent(verdict))
		return;
	/* the statement that reaches it comes first */
	if (!refused)
		warden_pending_record();
	if (!refused && is_told(facts, verdict))
		return;
	warden_source_message(&source);
	warden_audit_start(&recorded, facts, verdict, &source);
	warden_refuse(facts, verdict);
	warden_audit_end(&recorded, -1);
}

static void
decide(WardenFacts *facts)
{
	WardenVerdict verdict;

	warden_decide_reached(facts, &verdict);
}

/* The command under way, so that guards by command tag mean what it reaches as well. */
static const char *
command_now(const char *otherwise)
{
	return warden_utility_now ? GetCommandTagName(CreateCommandTag(warden_utility_now)) : otherwise;
}

static bool
drops_indexes_now(void)
{
	return warden_utility_now == NULL || (IsA(warden_utility_now, DropStmt) &&
										  ((DropStmt *) warden_utility_now)->removeType == OBJECT_INDEX);
}

/*
 * Indexes and TOAST tables hold nothing of their own. They fall with their table, which is decided on, or with a
 * constraint, which is ALTER TABLE; DROP INDEX alone is a DROP.
 */
static WardenClasses
relation_drop_classes(Oid relid, bool named)
{
	char		kind = get_rel_relkind(relid);

	if (kind == RELKIND_TOASTVALUE)
		return 0;
	return named || (kind != RELKIND_INDEX && kind != RELKIND_PARTITIONED_INDEX) ? WARDEN_CLASS_DROP : 0;
}

WardenClasses
warden_drop_classes(const ObjectAddress *object, bool named)
{
	switch (object->classId)
	{
		case RelationRelationId:
			return object->objectSubId != 0 ? WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN :
				relation_drop_classes(object->objectId, named);
		case TypeRelationId:
			/* row types and array types fall with what they belong to */
			return named || (get_typtype(object->objectId) != TYPTYPE_COMPOSITE &&
							 !OidIsValid(get_element_type(object->objectId))) ? WARDEN_CLASS_DROP : 0;
		case AuthIdRelationId:
			return WARDEN_CLASS_ROLE;
		case LargeObjectRelationId:
			return WARDEN_CLASS_DELETE;
		case DefaultAclRelationId:
		case PublicationRelRelationId:
		case PublicationNamespaceRelationId:
		case AccessMethodOperatorRelationId:
		case AccessMethodProcedureRelationId:
		case UserMappingRelationId:
			/* dropped by name of ALTER … DROP, or settings rather than objects */
			return 0;
		case ConstraintRelationId:
		case AttrDefaultRelationId:
		case RewriteRelationId:
		case TriggerRelationId:
		case PolicyRelationId:
			/* parts of a table: the ALTER or the DROP of the whole is what is guarded */
			return 0;
		default:
			return WARDEN_CLASS_DROP;
	}
}

static void
dropped(Oid class_id, Oid object_id, int sub_id, int flags)
{
	const ObjectAddress object = {class_id, object_id, sub_id};
	WardenRelation *relation;
	WardenClasses classes;
	WardenFacts facts;

	/* rewrites, swaps and clean-up of temporary objects are the server's own */
	if (flags & PERFORM_DELETION_INTERNAL)
		return;
	classes = warden_drop_classes(&object, class_id == RelationRelationId && drops_indexes_now());
	if (classes == 0)
		return;
	warden_facts_begin(&facts, command_now(class_id == LargeObjectRelationId ? "LARGE OBJECT" : "DROP"));
	if (class_id != RelationRelationId)
		(void) warden_facts_access(&facts, warden_other_object(class_id, object_id), classes);
	else if ((relation = warden_relation(object_id)) != NULL)
		warden_facts_column(&facts, &relation->object, classes, sub_id);
	decide(&facts);
}

static void
truncated(Oid relid)
{
	WardenFacts facts;

	warden_facts_begin(&facts, command_now("TRUNCATE TABLE"));
	warden_facts_relation(&facts, relid, WARDEN_CLASS_TRUNCATE);
	decide(&facts);
}

/*
 * Indexes are made on a table, which was decided on; row types and array types come with what they belong to, the heap that
 * VACUUM FULL fills among it.
 */
static bool
comes_with_another(Oid class_id, HeapTuple tuple)
{
	if (class_id == RelationRelationId)
	{
		char		kind = ((Form_pg_class) GETSTRUCT(tuple))->relkind;

		return kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX || kind == RELKIND_TOASTVALUE;
	}
	if (class_id == TypeRelationId)
		return OidIsValid(((Form_pg_type) GETSTRUCT(tuple))->typrelid) ||
			OidIsValid(((Form_pg_type) GETSTRUCT(tuple))->typelem);
	return false;
}

/* The schema of an object that was made a moment ago, and that no catalog cache shows yet. */
static Oid
schema_of_new(Oid class_id, Oid object_id)
{
	AttrNumber	attno = is_objectclass_supported(class_id) ? get_object_attnum_namespace(class_id) : InvalidAttrNumber;
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			schema = InvalidOid;

	if (attno == InvalidAttrNumber)
		return InvalidOid;
	catalog = table_open(class_id, AccessShareLock);
	ScanKeyInit(&key, get_object_attnum_oid(class_id), BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object_id));
	scan = systable_beginscan(catalog, get_object_oid_index(class_id), true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple) && !comes_with_another(class_id, tuple))
	{
		bool		isnull;

		schema = DatumGetObjectId(heap_getattr(tuple, attno, RelationGetDescr(catalog), &isnull));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return schema;
}

/*
 * In the schemas that pg_warden's own SQL looks into, nobody makes or replaces anything, by whatever command. What
 * extensions bring comes from the host.
 */
static void
created(Oid class_id, Oid object_id, int sub_id, bool is_internal)
{
	WardenFacts facts;
	Oid			schema;

	if (sub_id != 0 || is_internal)
		return;
	schema = schema_of_new(class_id, object_id);
	if (!OidIsValid(schema) || (schema != warden_catalog.schema && schema != warden_catalog.views &&
								(schema != PG_CATALOG_NAMESPACE || creating_extension)))
		return;
	warden_facts_begin(&facts, "CREATE");
	(void) warden_facts_access(&facts, warden_other_object(NamespaceRelationId, schema), WARDEN_CLASS_CREATE);
	decide(&facts);
}

/* What pg_warden's own SQL is made of. */
static bool
is_builtin_code(Oid class_id, Oid object_id)
{
	return object_id < FirstNormalObjectId &&
		(class_id == ProcedureRelationId || class_id == OperatorRelationId || class_id == TypeRelationId);
}

/* Renamed, moved to another schema: decided on what it was and what it has become. */
static void
moved(Oid class_id, Oid object_id)
{
	WardenFacts facts;

	warden_facts_begin(&facts, command_now("ALTER"));
	if (warden_moved_facts(&facts, class_id, object_id))
		decide(&facts);
}

/* A child has got a parent, or left one. */
static void
parents_changed(Oid child)
{
	WardenFacts facts;

	/* a table that is being made had nothing to lose */
	if (warden_utility_now != NULL && !IsA(warden_utility_now, AlterTableStmt))
		return;
	warden_facts_begin(&facts, command_now("ALTER TABLE"));
	if (warden_parents_changed_facts(&facts, child))
		decide(&facts);
}

/* pg_warden's own objects are not altered, by whatever statement: renamed, re-owned, replaced … */
static void
altered(Oid class_id, Oid object_id)
{
	WardenFacts facts;
	WardenRelation *relation;

	if (is_builtin_code(class_id, object_id))
	{
		warden_facts_begin(&facts, "ALTER");
		(void) warden_facts_access(&facts, warden_other_object(NamespaceRelationId, PG_CATALOG_NAMESPACE),
								   WARDEN_CLASS_ALTER);
		decide(&facts);
		return;
	}
	if (!warden_is_own_object(class_id, object_id))
		return;
	warden_facts_begin(&facts, "ALTER");
	if (class_id == RelationRelationId && (relation = warden_relation(object_id)) != NULL)
		(void) warden_facts_access(&facts, &relation->object, WARDEN_CLASS_ALTER);
	else
		(void) warden_facts_access(&facts, warden_other_object(class_id, object_id), WARDEN_CLASS_ALTER);
	decide(&facts);
}

/* Reached before it is decided on: what is refused is named as well. */
static void
collect(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	switch (access)
	{
		case OAT_DROP:
			if (((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL)
				break;
			if (class_id == RelationRelationId && sub_id != 0)
				warden_reached_object(class_id, object_id, sub_id, WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN);
			else
				warden_reached_object(class_id, object_id, 0, class_id == LargeObjectRelationId ?
									  WARDEN_CLASS_DELETE : WARDEN_CLASS_DROP);
			break;
		case OAT_TRUNCATE:
			warden_reached_object(class_id, object_id, 0, WARDEN_CLASS_TRUNCATE);
			break;
		case OAT_POST_CREATE:
			/* a column that is added changes its table */
			if (arg == NULL || !((ObjectAccessPostCreate *) arg)->is_internal)
				warden_reached_object(class_id, object_id, 0, sub_id == 0 ? WARDEN_CLASS_CREATE : WARDEN_CLASS_ALTER);
			break;
		case OAT_POST_ALTER:
			if (arg == NULL || !((ObjectAccessPostAlter *) arg)->is_internal)
				warden_reached_object(class_id, object_id, 0, WARDEN_CLASS_ALTER);
			break;
		default:
			break;
	}
}

/* Where it is not known yet, some callers are in no position to have it looked up. */
static bool
governs(ObjectAccessType access)
{
	if (access == OAT_FUNCTION_EXECUTE)
		return warden_governed_known() || (warden_in_function_call() && warden_governed());
	/* after CREATE SCHEMA it is to be looked up again; a statement that was governed is */
	if (access == OAT_POST_CREATE)
		return warden_governed_known() || (warden_utility_now != NULL && warden_internal_depth == 0);
	return warden_governed();
}

static void
warden_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_hook)
		(*previous_hook) (access, class_id, object_id, sub_id, arg);
	if (unlikely(warden_explaining))
	{
		if (access == OAT_FUNCTION_EXECUTE)
			warden_explain_check(object_id);
		return;
	}
	/* DROP EXTENSION pg_warden was allowed, by break-glass: its policy tables may be gone already */
	if (warden_dropping_extension)
		return;
	/* asked for each qualified name, our own look-ups among them */
	if (access == OAT_NAMESPACE_SEARCH)
		return;
	if (!governs(access))
		return;
	collect(access, class_id, object_id, sub_id, arg);
	if (access == OAT_DROP)
	{
		dropped(class_id, object_id, sub_id, ((ObjectAccessDrop *) arg)->dropflags);
		if (class_id == RelationRelationId && warden_any_labels)
			warden_labels_forget(object_id, (AttrNumber) sub_id);
	}
	else if (access == OAT_TRUNCATE)
		truncated(object_id);
	else if (access == OAT_POST_CREATE)
		created(class_id, object_id, sub_id, arg != NULL && ((ObjectAccessPostCreate *) arg)->is_internal);
	else if (access == OAT_POST_ALTER)
	{
		const ObjectAccessPostAlter *alter = arg;

		altered(class_id, object_id);
		if (alter != NULL && alter->is_internal)
			return;
		if (class_id == InheritsRelationId)
			parents_changed(object_id);
		else if (sub_id == 0)
			moved(class_id, object_id);
		else if (class_id == RelationRelationId && has_subclass(object_id))
			/* children know a guarded column by the name that it has here */
			CacheInvalidateRelcacheByRelid(warden_catalog.guard_policy);
	}
	else if (access == OAT_FUNCTION_EXECUTE)
		warden_function_called(object_id);
}

void
warden_access_install(void)
{
	previous_hook = object_access_hook;
	object_access_hook = warden_object_access;
}
