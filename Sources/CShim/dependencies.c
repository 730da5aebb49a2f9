/*
 * What a DROP would take along: the closure of its objects over pg_depend, as the server's findDependentObjects goes
 * about it, read before anything is locked or removed. It is for an early decision that knows the way from what the
 * statement names to what falls; what falls in the end is decided again by the object access hook, on OIDs.
 */
#include "shim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_shdepend.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* What is beyond, the object access hook decides alone. */
#define MOST_FALLS 20000

/* A chain longer than this leaves out its middle. */
#define LONGEST_CHAIN 600

/* In place of a column: the table was told as one that is altered. */
#define ALTERED INT_MIN

/* An object that would fall. */
typedef struct Fall
{
	ObjectAddress object;
	int			through;		/* the fall that takes it along; -1: the statement names it */
	WardenText	chain;			/* made when it is asked for */
	const WardenObject *facts;	/* of the object, of a column: of its relation */
} Fall;

struct WardenClosure
{
	Fall	   *falls;
	int			count;
	int			room;
	bool		cascade;
	HTAB	   *index;
	MemoryContext memory;
};

WardenClosure *
warden_closure(bool cascade)
{
	MemoryContext memory = warden_statement_memory();
	WardenClosure *closure = MemoryContextAllocZero(memory, sizeof(WardenClosure));
	HASHCTL		ctl = {.keysize = sizeof(ObjectAddress), .entrysize = sizeof(ObjectAddress), .hcxt = memory};

	closure->cascade = cascade;
	closure->memory = memory;
	closure->index = hash_create("pg_warden closure", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return closure;
}

void
warden_closure_cascades(WardenClosure *closure)
{
	closure->cascade = true;
}

static bool
contains(const WardenClosure *closure, ObjectAddress object)
{
	bool		found;

	(void) hash_search(closure->index, &object, HASH_FIND, &found);
	if (found || object.objectSubId == 0)
		return found;
	/* with the whole, each part */
	object.objectSubId = 0;
	(void) hash_search(closure->index, &object, HASH_FIND, &found);
	return found;
}

/* The views that masks are made of step aside before DDL, and come again after it. */
static bool
is_masking_view(const ObjectAddress *object)
{
	return object->classId == RelationRelationId && get_rel_namespace(object->objectId) == warden_catalog.views;
}

static void
add(WardenClosure *closure, ObjectAddress object, int through)
{
	if (closure->count >= MOST_FALLS || contains(closure, object) || (through >= 0 && is_masking_view(&object)))
		return;
	if (closure->count == closure->room)
	{
		int			room = Max(16, closure->room * 2);
		Fall	   *larger = MemoryContextAllocZero(closure->memory, sizeof(Fall) * room);

		if (closure->count > 0)
			memcpy(larger, closure->falls, sizeof(Fall) * closure->count);
		closure->falls = larger;
		closure->room = room;
	}
	(void) hash_search(closure->index, &object, HASH_ENTER, NULL);
	closure->falls[closure->count++] = (Fall) {.object = object, .through = through};
}

void
warden_closure_root(WardenClosure *closure, Oid class_id, Oid object_id, int sub_id)
{
	if (OidIsValid(object_id))
		add(closure, (ObjectAddress) {class_id, object_id, sub_id}, -1);
}

/* --- edges --- */

/* A scan of pg_depend for what depends on the object, or for what it depends on. */
static SysScanDesc
dependencies_of(Relation depend, const ObjectAddress *object, bool dependents)
{
	ScanKeyData keys[3];
	const AttrNumber columns[2][3] = {
		{Anum_pg_depend_classid, Anum_pg_depend_objid, Anum_pg_depend_objsubid},
	{Anum_pg_depend_refclassid, Anum_pg_depend_refobjid, Anum_pg_depend_refobjsubid}};

	ScanKeyInit(&keys[0], columns[dependents][0], BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], columns[dependents][1], BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object->objectId));
	ScanKeyInit(&keys[2], columns[dependents][2], BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(object->objectSubId));
	return systable_beginscan(depend, dependents ? DependReferenceIndexId : DependDependerIndexId, true, NULL,
							  object->objectSubId != 0 ? 3 : 2, keys);
}

/*
 * What was reached and belongs to something else falls by the fall of that: a view's rule by its view, a member by its
 * extension. Of what the statement names itself the server refuses this.
 */
static void
add_owners(WardenClosure *closure, Relation depend, int index)
{
	const Fall	fall = closure->falls[index];
	SysScanDesc scan;
	HeapTuple	tuple;

	if (fall.through < 0)
		return;
	scan = dependencies_of(depend, &fall.object, false);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		/* of a partition's index and the like either owner will do: the one that was reached is there already */
		if (form->deptype == DEPENDENCY_INTERNAL || form->deptype == DEPENDENCY_EXTENSION)
			add(closure, (ObjectAddress) {form->refclassid, form->refobjid, form->refobjsubid}, fall.through);
	}
	systable_endscan(scan);
}

static void
add_dependents(WardenClosure *closure, Relation depend, int index)
{
	const Fall	fall = closure->falls[index];
	SysScanDesc scan = dependencies_of(depend, &fall.object, true);
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		bool		itself = form->classid == fall.object.classId && form->objid == fall.object.objectId;

		/* without CASCADE the server has its own word to say of these */
		if (form->deptype == DEPENDENCY_NORMAL && !closure->cascade)
			continue;
		if (!itself || fall.object.objectSubId != 0)
			add(closure, (ObjectAddress) {form->classid, form->objid, form->objsubid}, index);
	}
	systable_endscan(scan);
}

/* A column that falls takes those of children along that came with it. */
static void
add_inherited(WardenClosure *closure, int index)
{
	const ObjectAddress object = closure->falls[index].object;
	char	   *name;
	ListCell   *cell;

	if (object.classId != RelationRelationId || object.objectSubId <= 0 || !has_subclass(object.objectId))
		return;
	name = warden_column_name(object.objectId, (AttrNumber) object.objectSubId);
	if (name == NULL)
		return;
	foreach(cell, find_inheritance_children(object.objectId, NoLock))
	{
		HeapTuple	tuple = SearchSysCacheAttName(lfirst_oid(cell), name);
		Form_pg_attribute form;

		if (!HeapTupleIsValid(tuple))
			continue;
		form = (Form_pg_attribute) GETSTRUCT(tuple);
		if (form->attinhcount == 1 && !form->attislocal)
			add(closure, (ObjectAddress) {RelationRelationId, lfirst_oid(cell), form->attnum}, index);
		ReleaseSysCache(tuple);
	}
}

void
warden_closure_grow(WardenClosure *closure)
{
	MemoryContext caller = MemoryContextSwitchTo(closure->memory);
	Relation	depend = table_open(DependRelationId, AccessShareLock);

	for (int i = 0; i < closure->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		/* a role is where DROP OWNED begins: what it owns are roots */
		if (closure->falls[i].object.classId == AuthIdRelationId)
			continue;
		add_owners(closure, depend, i);
		add_dependents(closure, depend, i);
		add_inherited(closure, i);
	}
	table_close(depend, AccessShareLock);
	MemoryContextSwitchTo(caller);
}

/* --- what a role has --- */

/* `found` is told each dependency of this database on the role. */
static void
each_of_role(Oid role, void (*found) (const FormData_pg_shdepend *form, void *arg), void *arg)
{
	Relation	depend = table_open(SharedDependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_shdepend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(AuthIdRelationId));
	ScanKeyInit(&keys[1], Anum_pg_shdepend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(depend, SharedDependReferenceIndexId, true, NULL, 2, keys);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_shdepend form = (Form_pg_shdepend) GETSTRUCT(tuple);

		if (form->dbid == MyDatabaseId)
			found(form, arg);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
}

typedef struct Owned
{
	WardenClosure *closure;
	int			role;			/* the fall that stands for it */
} Owned;

static void
add_owned(const FormData_pg_shdepend *form, void *arg)
{
	Owned	   *owned = arg;

	if (form->deptype == SHARED_DEPENDENCY_OWNER)
		add(owned->closure, (ObjectAddress) {form->classid, form->objid, form->objsubid}, owned->role);
}

void
warden_closure_owned(WardenClosure *closure, Oid role)
{
	Owned		owned = {closure, closure->count};

	warden_closure_root(closure, AuthIdRelationId, role, 0);
	if (closure->count > owned.role)
		each_of_role(role, add_owned, &owned);
}

static void
add_relation(const FormData_pg_shdepend *form, void *arg)
{
	List	  **relations = arg;

	if (form->deptype == SHARED_DEPENDENCY_OWNER && form->classid == RelationRelationId)
		*relations = lappend_oid(*relations, form->objid);
}

List *
warden_owned_relations(Oid role)
{
	List	   *relations = NIL;

	if (OidIsValid(role))
		each_of_role(role, add_relation, &relations);
	return relations;
}

/* --- TRUNCATE --- */

/*
 * TRUNCATE empties the children of a table with it, and with CASCADE the tables whose foreign keys lead to what it
 * empties.
 */
void
warden_closure_truncated(WardenClosure *closure, Oid relid, bool with_children)
{
	int			first = closure->count;
	ListCell   *cell;

	warden_closure_root(closure, RelationRelationId, relid, 0);
	if (closure->count == first)
		return;
	if (with_children && has_subclass(relid))
		foreach(cell, find_all_inheritors(relid, NoLock, NULL))
			add(closure, (ObjectAddress) {RelationRelationId, lfirst_oid(cell), 0}, first);
	for (int i = first; closure->cascade && i < closure->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		foreach(cell, heap_truncate_find_FKs(list_make1_oid(closure->falls[i].object.objectId)))
			add(closure, (ObjectAddress) {RelationRelationId, lfirst_oid(cell), 0}, i);
	}
}

/* --- telling --- */

/* "table shop.orders", "column shop.orders.note" */
static char *
link_text(Fall *fall)
{
	const WardenObject *object = fall->facts;
	char	   *column;

	if (object == NULL)
	{
		char	   *kind = getObjectTypeDescription(&fall->object, true);
		char	   *name = getObjectIdentity(&fall->object, true);

		return psprintf("%s %s", kind ? kind : "object", name ? name : psprintf("%u", fall->object.objectId));
	}
	column = fall->object.objectSubId > 0 ?
		warden_column_name(fall->object.objectId, (AttrNumber) fall->object.objectSubId) : NULL;
	if (column != NULL)
		return psprintf("column %s.%s", (const char *) object->name.bytes, quote_identifier(column));
	return psprintf("%s %s", (const char *) object->kind.bytes, (const char *) object->name.bytes);
}

static const WardenObject *
object_of(const ObjectAddress *address)
{
	WardenRelation *relation;

	if (address->classId != RelationRelationId)
		return warden_existing_object(address->classId, address->objectId);
	relation = warden_relation(address->objectId);
	return relation ? &relation->object : NULL;
}

/* What takes an object along has been told before it, or is one that nothing is told of. */
static WardenText
chain_of(WardenClosure *closure, int index)
{
	Fall	   *fall = &closure->falls[index];
	WardenText	before;
	char	   *own;

	if (fall->chain.bytes != NULL)
		return fall->chain;
	if (fall->facts == NULL)
		fall->facts = object_of(&fall->object);
	own = link_text(fall);
	if (fall->through < 0)
		return fall->chain = warden_text(own);
	check_stack_depth();
	before = chain_of(closure, fall->through);
	if (before.length > LONGEST_CHAIN)
	{
		int			root = index;

		while (closure->falls[root].through >= 0)
			root = closure->falls[root].through;
		before = warden_text(psprintf("%s -> ...", (const char *) closure->falls[root].chain.bytes));
	}
	return fall->chain = warden_text(psprintf("%s -> %s", (const char *) before.bytes, own));
}

static WardenText
root_of(WardenClosure *closure, int index)
{
	Fall	   *root = &closure->falls[index];

	while (root->through >= 0)
		root = &closure->falls[root->through];
	return root->facts ? root->facts->name : warden_text(NULL);
}

/* Is there something on the way that the session may not see? What it named itself it knows. */
static bool
is_way_hidden(const WardenClosure *closure, int index)
{
	for (const Fall *fall = &closure->falls[index]; fall->through >= 0; fall = &closure->falls[fall->through])
		if (fall->facts != NULL && warden_object_hidden(fall->facts))
			return true;
	return false;
}

/* The access for a fall, with the way to it. */
static void
tell(WardenFacts *facts, WardenClosure *closure, int index, const WardenObject *object, WardenClasses classes)
{
	Fall	   *fall = &closure->falls[index];
	int			column = object == fall->facts ? fall->object.objectSubId : 0;
	WardenAccess *access;

	if (fall->through < 0)
	{
		warden_facts_column(facts, object, classes, column);
		return;
	}
	access = warden_facts_fall(facts, object, classes);
	access->chain = chain_of(closure, index);
	access->chain_hidden = is_way_hidden(closure, fall->through);
	access->root = root_of(closure, index);
	access->via = closure->falls[fall->through].chain;
	if (column > 0)
		warden_access_write(access, column);
}

/* Parts fall with their table, or alter it: told once. */
static void
tell_part(WardenFacts *facts, WardenClosure *closure, int index)
{
	const ObjectAddress *part = &closure->falls[index].object;
	ObjectAddress table = {RelationRelationId, InvalidOid, ALTERED};
	WardenRelation *relation;
	bool		internal = false;

	table.objectId = warden_whole_of(part->classId, part->objectId, &internal);
	if (!OidIsValid(table.objectId) || internal || contains(closure, table))
		return;
	relation = warden_relation(table.objectId);
	if (relation == NULL)
		return;
	(void) hash_search(closure->index, &table, HASH_ENTER, NULL);
	tell(facts, closure, index, &relation->object, WARDEN_CLASS_ALTER);
}

static void
tell_fall(WardenFacts *facts, WardenClosure *closure, int index)
{
	Fall	   *fall = &closure->falls[index];
	ObjectAddress whole = {fall->object.classId, fall->object.objectId, 0};
	WardenClasses classes = warden_drop_classes(&fall->object, fall->through < 0);

	if (classes == 0)
	{
		if (fall->through >= 0)
			tell_part(facts, closure, index);
		return;
	}
	/* a column of a table that falls itself, further on */
	if (fall->object.objectSubId != 0 && contains(closure, whole))
		return;
	if (fall->facts == NULL)
		fall->facts = object_of(&fall->object);
	if (fall->facts != NULL)
		tell(facts, closure, index, fall->facts, classes);
}

void
warden_closure_facts(WardenFacts *facts, WardenClosure *closure)
{
	MemoryContext caller = MemoryContextSwitchTo(closure->memory);

	for (int i = 0; i < closure->count; i++)
		if (closure->falls[i].object.classId != AuthIdRelationId)
			tell_fall(facts, closure, i);
	MemoryContextSwitchTo(caller);
}

void
warden_closure_truncate_facts(WardenFacts *facts, WardenClosure *closure)
{
	MemoryContext caller = MemoryContextSwitchTo(closure->memory);

	for (int i = 0; i < closure->count; i++)
	{
		Fall	   *fall = &closure->falls[i];

		fall->facts = object_of(&fall->object);
		if (fall->facts != NULL)
			tell(facts, closure, i, fall->facts, WARDEN_CLASS_TRUNCATE);
	}
	MemoryContextSwitchTo(caller);
}

/* REASSIGN OWNED: what the role owns gets another owner. */
void
warden_reassign_facts(WardenFacts *facts, Oid role)
{
	MemoryContext caller = MemoryContextSwitchTo(warden_statement_memory());
	WardenClosure *closure = warden_closure(false);

	warden_closure_owned(closure, role);
	for (int i = 0; i < closure->count; i++)
	{
		Fall	   *fall = &closure->falls[i];

		fall->facts = object_of(&fall->object);
		if (fall->facts != NULL && fall->object.classId != AuthIdRelationId)
			tell(facts, closure, i, fall->facts, WARDEN_CLASS_ALTER);
	}
	MemoryContextSwitchTo(caller);
}
