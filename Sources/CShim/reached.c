/*
 * What a statement reaches while it runs and its record could not name before: what a DROP … CASCADE, DROP OWNED or
 * TRUNCATE CASCADE takes along, what DDL makes and changes, the partitions that rows were routed to, the functions
 * that procedural code calls. Each object is named when it is reached, since it may be gone a moment later; what is
 * being made cannot be named before it is there, and is named at the end. The list goes out at the statement's end,
 * failed or not, as an amendment of its record, in portions.
 */
#include "shim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* As many as a record has room for, by number and by bytes. */
#define PORTION 64
#define PORTION_BYTES 7000

typedef struct ObjectKey
{
	Oid			class_id;
	Oid			object_id;
} ObjectKey;

typedef struct ReachedObject
{
	ObjectKey	key;
	WardenObject object;		/* a name of NULL: not known yet */
	WardenClasses classes;
	WardenClasses untold;
	Oid			part_of;		/* the relation that a constraint, trigger, rule or policy belongs to */
	int16_t	   *columns;		/* those dropped */
	int			column_count;
	WardenText	via;
} ReachedObject;

WardenReached *warden_reached_now = NULL;

void
warden_reached_begin(WardenReached *reached, const WardenRecorded *recorded, const WardenFacts *facts,
					 int first, MemoryContext parent)
{
	memset(reached, 0, sizeof(*reached));
	reached->recorded = recorded;
	reached->parent = parent;
	if (likely(facts->count <= first))
		return;
	reached->known = MemoryContextAlloc(parent, sizeof(WardenKnown) * (facts->count - first));
	for (int i = first; i < facts->count; i++)
	{
		const WardenAccess *access = &facts->accesses[i];

		reached->known[reached->known_count++] =
			(WardenKnown) {access->object->catalog, access->object->oid, access->classes};
	}
}

void
warden_reached_end(WardenReached *reached)
{
	if (reached->memory != NULL)
		MemoryContextDelete(reached->memory);
	if (reached->known != NULL)
		pfree(reached->known);
	reached->memory = NULL;
	reached->objects = NIL;
	reached->known = NULL;
	reached->known_count = 0;
}

/* Those of the classes that the record does not tell. */
static WardenClasses
unknown(const WardenReached *reached, Oid class_id, Oid object_id, WardenClasses classes)
{
	for (int i = 0; i < reached->known_count; i++)
		if (reached->known[i].object_id == object_id && reached->known[i].class_id == class_id)
			classes &= ~reached->known[i].classes;
	return classes;
}

static ReachedObject *
entry_of(WardenReached *reached, Oid class_id, Oid object_id)
{
	ObjectKey	key = {class_id, object_id};
	ReachedObject *object;
	bool		found;

	if (reached->memory == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(ObjectKey), .entrysize = sizeof(ReachedObject)};

		reached->memory = AllocSetContextCreate(reached->parent, "pg_warden reached", ALLOCSET_SMALL_SIZES);
		ctl.hcxt = reached->memory;
		reached->index = hash_create("pg_warden reached", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	object = hash_search(reached->index, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset(object, 0, sizeof(*object));
		object->key = key;
	}
	return object;
}

/* --- naming --- */

static WardenText
copied(WardenText text)
{
	return (WardenText) {(const uint8_t *) warden_cstring(text), text.length};
}

static const WardenColumnLabel *
copied_labels(const WardenObject *object)
{
	WardenColumnLabel *labels = palloc(sizeof(WardenColumnLabel) * (object->label_count + 1));

	for (int64_t i = 0; i < object->label_count; i++)
	{
		labels[i] = object->labels[i];
		labels[i].label = copied(labels[i].label);
	}
	return labels;
}

/* Columns have to be named where some are dropped. */
static void
copy_object(ReachedObject *reached, const WardenObject *object)
{
	WardenText *columns;

	reached->object = *object;
	reached->object.name = copied(object->name);
	reached->object.kind = copied(object->kind);
	/* that of a relation goes when the relation changes */
	reached->object.encoded = warden_text(NULL);
	reached->object.ancestors = NULL;
	reached->object.ancestor_count = 0;
	reached->object.labels = NULL;
	reached->object.label_count = 0;
	if (reached->column_count == 0)
	{
		reached->object.columns = NULL;
		reached->object.column_count = 0;
		return;
	}
	reached->object.labels = copied_labels(object);
	reached->object.label_count = object->label_count;
	columns = palloc(sizeof(WardenText) * object->column_count);
	for (int64_t i = 0; i < object->column_count; i++)
		columns[i] = copied(object->columns[i]);
	reached->object.columns = columns;
}

Oid
warden_whole_of(Oid class_id, Oid object_id, bool *internal)
{
	Relation	catalog;
	HeapTuple	tuple;
	Oid			whole = InvalidOid;

	if (class_id == AttrDefaultRelationId)
		return GetAttrDefaultColumnAddress(object_id).objectId;
	if (class_id != ConstraintRelationId && class_id != TriggerRelationId && class_id != PolicyRelationId &&
		class_id != RewriteRelationId)
		return InvalidOid;
	catalog = table_open(class_id, AccessShareLock);
	tuple = get_catalog_object_by_oid(catalog, get_object_attnum_oid(class_id), object_id);
	if (HeapTupleIsValid(tuple) && class_id == ConstraintRelationId)
		whole = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
	else if (HeapTupleIsValid(tuple) && class_id == TriggerRelationId)
	{
		whole = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
		*internal = ((Form_pg_trigger) GETSTRUCT(tuple))->tgisinternal;
	}
	else if (HeapTupleIsValid(tuple) && class_id == PolicyRelationId)
		whole = ((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
	else if (HeapTupleIsValid(tuple))
	{
		whole = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
		/* the body of a view */
		*internal = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_type == '1';
	}
	table_close(catalog, AccessShareLock);
	return whole;
}

/* Row types and array types come and go with what they belong to, as TOAST tables do. */
static bool
is_appendage(Oid class_id, Oid object_id)
{
	char		kind;

	if (class_id == RelationRelationId)
	{
		kind = get_rel_relkind(object_id);
		return kind == RELKIND_TOASTVALUE || kind == RELKIND_COMPOSITE_TYPE ||
			get_rel_namespace(object_id) == PG_TOAST_NAMESPACE;
	}
	if (class_id != TypeRelationId)
		return false;
	if (get_typtype(object_id) == TYPTYPE_COMPOSITE)
		return get_rel_relkind(get_typ_typrelid(object_id)) != RELKIND_COMPOSITE_TYPE;
	return OidIsValid(get_element_type(object_id));
}

/* Names the object where that can be done now; what need not be told is marked as told. */
static void
name(WardenReached *reached, ReachedObject *entry)
{
	MemoryContext caller = MemoryContextSwitchTo(reached->memory);
	const WardenObject *object = NULL;
	bool		internal = false;

	if (entry->key.class_id == LargeObjectRelationId)
	{
		entry->object = (WardenObject) {.catalog = LargeObjectRelationId, .oid = entry->key.object_id,
			.kind = warden_text("large object"), .name = warden_text(psprintf("%u", entry->key.object_id))};
	}
	else if (entry->key.class_id == RelationRelationId)
	{
		WardenRelation *relation = warden_relation(entry->key.object_id);

		object = relation ? &relation->object : NULL;
	}
	else if (entry->key.class_id == ProcedureRelationId)
	{
		WardenFunction *function = warden_function(entry->key.object_id);

		object = function ? &function->object : NULL;
	}
	else
		object = warden_existing_object(entry->key.class_id, entry->key.object_id);
	if (object != NULL)
	{
		copy_object(entry, object);
		entry->part_of = warden_whole_of(entry->key.class_id, entry->key.object_id, &internal);
		if (internal || is_appendage(entry->key.class_id, entry->key.object_id))
			entry->untold = 0;
	}
	MemoryContextSwitchTo(caller);
}

/* --- collecting --- */

/* Parts of other objects, without a name of their own that anybody uses. */
static bool
is_nameless(Oid class_id)
{
	return class_id == AttrDefaultRelationId || class_id == AccessMethodOperatorRelationId ||
		class_id == AccessMethodProcedureRelationId;
}

static void
add_column(WardenReached *reached, ReachedObject *object, int column)
{
	int16_t    *columns = MemoryContextAlloc(reached->memory, sizeof(int16_t) * (object->column_count + 1));

	if (object->column_count > 0)
		memcpy(columns, object->columns, sizeof(int16_t) * object->column_count);
	columns[object->column_count++] = (int16_t) column;
	object->columns = columns;
}

static void
add(WardenReached *reached, Oid class_id, Oid object_id, int column, WardenClasses classes)
{
	WardenClasses news = unknown(reached, class_id, object_id, classes);
	WardenFunction *inside;
	ReachedObject *object;

	if (news == 0)
		return;
	object = entry_of(reached, class_id, object_id);
	news &= ~object->classes;
	if (column != 0 && (object->classes | news) & WARDEN_CLASS_DROP_COLUMN)
	{
		add_column(reached, object, column);
		object->object.name.bytes = NULL;
		news |= WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN;
	}
	/* what was made a moment ago and is not finished yet */
	if (object->classes & WARDEN_CLASS_CREATE)
		news &= ~WARDEN_CLASS_ALTER;
	if (news == 0)
		return;
	if (object->untold == 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(reached->memory);

		reached->objects = lappend(reached->objects, object);
		MemoryContextSwitchTo(caller);
	}
	object->classes |= news;
	object->untold |= news;
	inside = warden_running_function();
	if (inside != NULL)
		object->via = inside->via;
	if (object->object.name.bytes == NULL && (classes & WARDEN_CLASS_CREATE) == 0)
		name(reached, object);
}

/* A call by the fast path has no end that is told: what it reaches goes out at once. */
static void
add_to_current(Oid class_id, Oid object_id, int column, WardenClasses classes)
{
	WardenReached *reached = warden_reached_now ? warden_reached_now : warden_fast_path();

	if (reached == NULL)
		return;
	add(reached, class_id, object_id, column, classes);
	if (reached != warden_reached_now)
		warden_reached_tell(reached, false);
}

/* Made or changed by an extension's script, whose statements tell: the extension is what is new. */
static bool
is_of_script(Oid class_id, WardenClasses classes)
{
	return creating_extension && class_id != ExtensionRelationId &&
		(classes & (WARDEN_CLASS_CREATE | WARDEN_CLASS_ALTER)) != 0;
}

void
warden_reached_object(Oid class_id, Oid object_id, int column, WardenClasses classes)
{
	if (warden_internal_depth > 0 || is_nameless(class_id) || is_of_script(class_id, classes))
		return;
	/* of a table's constraints those are told that fall alone */
	if (class_id == ConstraintRelationId && (classes & WARDEN_CLASS_DROP) == 0)
		return;
	add_to_current(class_id, object_id, column, classes);
}

/* What the planner evaluated at top level: the statement that it is for has yet to begin. */
#define MOST_IN_PLANNER 16
static Oid	in_planner[MOST_IN_PLANNER];
static int	in_planner_count = 0;

void
warden_reached_planning(void)
{
	if (warden_reached_now == NULL && warden_running_function() == NULL)
		in_planner_count = 0;
}

void
warden_reached_function(Oid function)
{
	WardenFunction *facts;

	if (function < FirstNormalObjectId || !warden_governed_known() || warden_pending_function(function))
		return;
	if (warden_reached_now == NULL && warden_fast_path() == NULL)
	{
		if (in_planner_count < MOST_IN_PLANNER && !IsParallelWorker())
			in_planner[in_planner_count++] = function;
		return;
	}
	facts = warden_function(function);
	if (facts != NULL && !facts->is_mask)
		add_to_current(ProcedureRelationId, function, 0, WARDEN_CLASS_FUNCTION);
}

void
warden_reached_in_planner(WardenFacts *facts)
{
	int			count = in_planner_count;

	in_planner_count = 0;
	for (int i = 0; i < count; i++)
	{
		WardenFunction *function = warden_function(in_planner[i]);

		if (function != NULL && !function->is_mask)
			(void) warden_facts_access(facts, &function->object, WARDEN_CLASS_FUNCTION);
	}
}

/* --- telling --- */

static bool
fell_with_its_whole(const WardenReached *reached, const ReachedObject *object)
{
	ObjectKey	whole = {RelationRelationId, object->part_of};
	const ReachedObject *entry;

	if (!OidIsValid(object->part_of) || (object->classes & WARDEN_CLASS_DROP) == 0)
		return false;
	if (unknown(reached, whole.class_id, whole.object_id, WARDEN_CLASS_DROP) == 0)
		return true;
	entry = hash_search(reached->index, &whole, HASH_FIND, NULL);
	return entry != NULL && (entry->classes & WARDEN_CLASS_DROP) != 0;
}

static void
tell_portion(const WardenReached *reached, const WardenAccess *accesses, int count, bool failed)
{
	/* neither command nor class: it is no statement of its own */
	const WardenStatement statement = {.accesses = accesses, .access_count = count};

	if (count > 0)
		warden_audit_reached(reached->recorded, &statement, !failed);
}

static WardenAccess
access_to(const ReachedObject *object)
{
	WardenAccess access = {.object = &object->object, .classes = object->untold, .via = object->via};

	access.written_columns = object->columns;
	access.written_count = object->column_count;
	return access;
}

void
warden_reached_tell(WardenReached *reached, bool failed)
{
	WardenAccess accesses[PORTION];
	Size		bytes = 0;
	int			count = 0;
	ListCell   *cell;

	if (likely(reached->objects == NIL))
		return;
	foreach(cell, reached->objects)
	{
		ReachedObject *object = lfirst(cell);
		Size		size;

		/* of what failed, things made are not there to be named */
		if (object->object.name.bytes == NULL && !failed && IsTransactionState())
			name(reached, object);
		if (object->untold == 0 || object->object.name.bytes == NULL || fell_with_its_whole(reached, object))
			continue;
		size = 32 + object->object.name.length + object->object.kind.length + object->via.length +
			(Size) object->column_count * NAMEDATALEN;
		if (count == PORTION || (count > 0 && bytes + size > PORTION_BYTES))
		{
			tell_portion(reached, accesses, count, failed);
			count = 0;
			bytes = 0;
		}
		accesses[count++] = access_to(object);
		bytes += size;
		object->untold = 0;
	}
	tell_portion(reached, accesses, count, failed);
	/* what was told is remembered: a cursor's next FETCH does not tell it again */
	list_free(reached->objects);
	reached->objects = NIL;
}
