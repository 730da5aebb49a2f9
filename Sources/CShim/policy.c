/*
 * Loads the policy tables and hands their rows to Swift, which compiles them. Read with a fresh snapshot whatever
 * the transaction's own one is: a policy holds from the statement after its commit, in REPEATABLE READ too.
 * Where loading fails nothing is in force, and every governed statement is refused until it succeeds; break-glass
 * and the configuration file (warden.mode = off, or no preloading) remain.
 */
#include "shim.h"

#include <sys/socket.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "labels.h"
#include "mask_rows.h"
#include "policy_rows.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/memutils.h"
#include "utils/varlena.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

bool		warden_policy_stale = true;
bool		warden_any_masks = false;
int64		warden_last_expiry = 0;
WardenClasses warden_guarded_classes = 0;
WardenClasses warden_limited_classes = 0;
uint64		warden_policy_generation = 0;
bool		warden_unbound_patterns = false;
WardenMaskEntry *warden_masks = NULL;
int			warden_mask_count = 0;

/* roles that subjects name, collected while loading; at definition there is no list to add to */
static bool collecting_roles = false;
static List *named_roles = NIL;

/* --- rows to contract structures; also used at definition (policy_sql.c) --- */

WardenText
warden_datum_text(Datum datum, bool isnull)
{
	return warden_text(isnull ? NULL : TextDatumGetCString(datum));
}

WardenText *
warden_array_texts(Datum array, int64_t *count)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	WardenText *texts;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	texts = palloc0(sizeof(WardenText) * (n + 1));
	for (int i = 0; i < n; i++)
		texts[i] = warden_datum_text(elements[i], nulls[i]);
	*count = n;
	return texts;
}

static WardenNetwork
network_of(const inet *value)
{
	WardenNetwork network = {0};
	bool		version4 = ip_family(value) == PGSQL_AF_INET;

	for (int i = 0; i < (version4 ? 4 : 16); i++)
	{
		uint64_t   *word = version4 || i >= 8 ? &network.low : &network.high;

		*word = *word << 8 | ip_addr(value)[i];
	}
	if (version4)
		network.low |= UINT64CONST(0xffff) << 32;
	network.prefix = ip_bits(value) + (version4 ? 96 : 0);
	return network;
}

WardenNetwork *
warden_networks(Datum array, int64_t *count)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	WardenNetwork *networks;

	deconstruct_array(DatumGetArrayTypeP(array), CIDROID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	networks = palloc0(sizeof(WardenNetwork) * (n + 1));
	for (int i = 0; i < n; i++)
		if (nulls[i])
			networks[i].prefix = -1;
		else
			networks[i] = network_of(DatumGetInetPP(elements[i]));
	*count = n;
	return networks;
}

static WardenSubjectPattern
subject_pattern(const char *text)
{
	WardenSubjectPattern pattern = {.text = warden_text(text)};

	if (text != NULL && strncmp(text, "role:", 5) == 0)
		pattern.role = get_role_oid(text + 5, true);
	if (collecting_roles && OidIsValid(pattern.role))
		named_roles = list_append_unique_oid(named_roles, pattern.role);
	return pattern;
}

/* What joins several, and what a pattern that does not is left without. */
#define SUBJECTS_AND " & "

static void
split_subject(WardenSubjectPattern *pattern)
{
	const char *text = (const char *) pattern->text.bytes;
	WardenSubjectPattern *parts = palloc0(sizeof(WardenSubjectPattern) * (strlen(text) / strlen(SUBJECTS_AND) + 2));
	const char *end;

	for (end = strstr(text, SUBJECTS_AND); end != NULL; end = strstr(text, SUBJECTS_AND))
	{
		parts[pattern->part_count++] = subject_pattern(pnstrdup(text, end - text));
		text = end + strlen(SUBJECTS_AND);
	}
	parts[pattern->part_count++] = subject_pattern(text);
	pattern->parts = parts;
}

WardenSubjectPattern *
warden_subject_patterns(Datum array, int64_t *count)
{
	WardenText *texts = warden_array_texts(array, count);
	WardenSubjectPattern *patterns = palloc0(sizeof(WardenSubjectPattern) * (*count + 1));

	for (int64_t i = 0; i < *count; i++)
		if (texts[i].bytes != NULL && strstr((const char *) texts[i].bytes, SUBJECTS_AND) != NULL)
		{
			patterns[i].text = texts[i];
			split_subject(&patterns[i]);
		}
		else
			patterns[i] = subject_pattern((const char *) texts[i].bytes);
	return patterns;
}

/* The parts of a qualified name; NIL where it is none. A policy text is user input: a bad one names nothing. */
static List *
warden_name_list(const char *text)
{
	List	   *parts;
	List	   *names = NIL;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(text), '.', &parts))
		return NIL;
	foreach(cell, parts)
		names = lappend(names, makeString(pstrdup(lfirst(cell))));
	return names;
}

static Oid
function_named(List *names)
{
	FuncCandidateList candidates = names ? WARDEN_FUNCTION_CANDIDATES(names) : NULL;

	/* overloaded names are matched by name */
	return candidates != NULL && candidates->next == NULL ? candidates->oid : InvalidOid;
}

/* What a pattern of the form schema.name or schema.name.column names at this moment. */
static void
bind_relation(WardenObjectPattern *pattern, List *names)
{
	if (list_length(names) < 2 || list_length(names) > 3)
		return;
	pattern->object = RangeVarGetRelid(makeRangeVar(strVal(linitial(names)), strVal(lsecond(names)), -1), NoLock, true);
	if (list_length(names) == 3 && OidIsValid(pattern->object))
		pattern->column = get_attnum(pattern->object, strVal(lthird(names)));
}

static bool
is_schema_pattern(const WardenText *text)
{
	return text->length > 2 && memcmp(text->bytes + text->length - 2, ".*", 2) == 0;
}

static void
bind_pattern(WardenObjectPattern *pattern)
{
	const char *text = (const char *) pattern->text.bytes;
	List	   *names;

	if (text == NULL || strcmp(text, "*") == 0 || strncmp(text, "label:", 6) == 0 || strncmp(text, "database:", 9) == 0)
		return;
	if (strncmp(text, "function:", 9) == 0)
		pattern->object = function_named(warden_name_list(text + 9));
	else if (is_schema_pattern(&pattern->text))
	{
		names = warden_name_list(pnstrdup(text, pattern->text.length - 2));
		if (list_length(names) == 1)
			pattern->schema = get_namespace_oid(strVal(linitial(names)), true);
	}
	else
		bind_relation(pattern, warden_name_list(text));
}

WardenObjectPattern *
warden_object_patterns(Datum array, int64_t *count)
{
	WardenText *texts = warden_array_texts(array, count);
	WardenObjectPattern *patterns = palloc0(sizeof(WardenObjectPattern) * (*count + 1));

	for (int64_t i = 0; i < *count; i++)
	{
		patterns[i].text = texts[i];
		bind_pattern(&patterns[i]);
	}
	return patterns;
}

/* What patterns named when their rule was made, in arrays beside the texts; NULL: not stored. */
typedef struct StoredBindings
{
	ArrayType  *relations;
	ArrayType  *schemas;
	ArrayType  *functions;
	ArrayType  *columns;
} StoredBindings;

/* 0 where the array has fewer. */
static Oid
stored_oid(ArrayType *array, int64_t i)
{
	if (array == NULL || ARR_HASNULL(array) || i >= ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)))
		return InvalidOid;
	return ((Oid *) ARR_DATA_PTR(array))[i];
}

static AttrNumber
stored_column(ArrayType *array, int64_t i)
{
	if (array == NULL || ARR_HASNULL(array) || i >= ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)))
		return 0;
	return ((int16 *) ARR_DATA_PTR(array))[i];
}

static ArrayType *
stored_array(Datum array, bool isnull)
{
	return isnull ? NULL : DatumGetArrayTypeP(array);
}

static Oid
if_there(Oid oid, int cache)
{
	return SearchSysCacheExists1(cache, ObjectIdGetDatum(oid)) ? oid : InvalidOid;
}

/* Attribute numbers follow a rename; of a column that was dropped, or never noted, the name tells. */
static void
rebind_column(WardenObjectPattern *pattern, AttrNumber column)
{
	List	   *names = warden_name_list((const char *) pattern->text.bytes);

	if (list_length(names) != 3)
		return;
	if (column == 0 || warden_column_name(pattern->object, column) == NULL)
		column = get_attnum(pattern->object, strVal(lthird(names)));
	pattern->column = column;
	pattern->column_name = warden_text(column != 0 ? warden_column_name(pattern->object, column) : NULL);
}

/* What is not there any more is known by its name. */
static void
rebind_pattern(WardenObjectPattern *pattern, const StoredBindings *stored, int64_t i)
{
	const char *text = (const char *) pattern->text.bytes;

	if (text == NULL)
		return;
	if (strncmp(text, "function:", 9) == 0)
		pattern->object = if_there(stored_oid(stored->functions, i), PROCOID);
	else if (is_schema_pattern(&pattern->text))
		pattern->schema = if_there(stored_oid(stored->schemas, i), NAMESPACEOID);
	else
		pattern->object = if_there(stored_oid(stored->relations, i), RELOID);
	pattern->bound = OidIsValid(pattern->object) || OidIsValid(pattern->schema);
	if (!pattern->bound)
		bind_pattern(pattern);
	if (OidIsValid(pattern->object) && strncmp(text, "function:", 9) != 0)
		rebind_column(pattern, stored_column(stored->columns, i));
	warden_unbound_patterns |= !pattern->bound && strcmp(text, "*") != 0;
}

static WardenObjectPattern *
stored_patterns(Datum texts, const StoredBindings *stored, int64_t *count)
{
	WardenText *names = warden_array_texts(texts, count);
	WardenObjectPattern *patterns = palloc0(sizeof(WardenObjectPattern) * (*count + 1));

	for (int64_t i = 0; i < *count; i++)
	{
		patterns[i].text = names[i];
		rebind_pattern(&patterns[i], stored, i);
	}
	return patterns;
}

/* --- loading --- */

static bool rows_refused = false;

/*
 * A row that was valid when it was made is not now. Not an error here: that would refuse every statement, the way out
 * included. Without a policy in force Swift refuses all but that.
 */
static void
row_refused(const WardenVerdict *verdict)
{
	rows_refused = true;
	ereport(WARNING,
			(errmsg("pg_warden cannot load its policy: %s", warden_translated(verdict->message, verdict->message_parts)),
			 errhint("Correct it with the functions of schema warden, under warden.break_glass(reason).")));
}

typedef void (*RowReader) (Datum *values, bool *nulls);

/*
 * A table without a page has no rows. Opening one makes its relation cache entry, triggers and all, in every new
 * session: spared where there is nothing to read, as with masks and exemptions in many databases.
 */
static bool
has_pages(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Form_pg_class form;
	WardenFile	file;

	if (!HeapTupleIsValid(tuple))
		return true;			/* opening it will say so */
	form = (Form_pg_class) GETSTRUCT(tuple);
	file = (WardenFile) {OidIsValid(form->reltablespace) ? form->reltablespace : MyDatabaseTableSpace, MyDatabaseId,
		form->relfilenode};
	ReleaseSysCache(tuple);
	return smgrnblocks(smgropen(file, WARDEN_NO_PROCESS), MAIN_FORKNUM) > 0;
}

/* Of a policy table. */
#define MOST_COLUMNS 32

static void
each_row(Oid table, RowReader read)
{
	Relation	rel;
	SysScanDesc scan;
	TupleDesc	desc;
	HeapTuple	tuple;
	Datum		values[MOST_COLUMNS];
	bool		nulls[MOST_COLUMNS];

	LockRelationOid(table, AccessShareLock);
	if (!has_pages(table))
	{
		UnlockRelationOid(table, AccessShareLock);
		return;
	}
	rel = table_open(table, NoLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	desc = RelationGetDescr(rel);
	if (desc->natts > MOST_COLUMNS)
		elog(ERROR, "pg_warden: policy table \"%s\" has %d columns", RelationGetRelationName(rel), desc->natts);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		heap_deform_tuple(tuple, desc, values, nulls);
		read(values, nulls);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

static void
read_guard(Datum *values, bool *nulls)
{
	WardenGuard guard = {0};
	StoredBindings bound;
	WardenVerdict verdict;
	bool		added;

	guard.name = warden_datum_text(values[0], false);
	guard.action = warden_datum_text(values[1], false);
	guard.statements = warden_array_texts(values[2], &guard.statement_count);
	bound.relations = stored_array(values[4], false);
	bound.schemas = stored_array(values[14], nulls[14]);
	bound.functions = stored_array(values[15], nulls[15]);
	bound.columns = stored_array(values[16], nulls[16]);
	guard.objects = stored_patterns(values[3], &bound, &guard.object_count);
	guard.subjects = warden_subject_patterns(values[5], &guard.subject_count);
	guard.environments = warden_array_texts(values[6], &guard.environment_count);
	guard.message = warden_datum_text(nulls[7] ? (Datum) 0 : values[7], nulls[7]);
	guard.priority = DatumGetInt32(values[8]);
	if (!nulls[9])
		guard.networks = warden_networks(values[9], &guard.network_count);
	guard.hours = warden_datum_text(nulls[10] ? (Datum) 0 : values[10], nulls[10]);
	guard.hours_zone = nulls[10] ? 0 : warden_hours_zone(guard.hours, false);
	warden_hours_in_force = warden_hours_in_force || !nulls[10];
	guard.max_rows = nulls[11] ? -1 : DatumGetInt64(values[11]);
	if (!nulls[12])
		guard.reviewers = warden_subject_patterns(values[12], &guard.reviewer_count);
	guard.approvals = DatumGetInt32(values[13]);
	SWIFT_GET(added, warden_policy_add_guard(&guard, warden_texts(), &verdict));
	if (!added)
		row_refused(&verdict);
}

static void
read_exemption(Datum *values, bool *nulls)
{
	WardenExemption exemption = {0};
	StoredBindings bound = {0};
	WardenVerdict verdict;
	bool		added;

	exemption.id = DatumGetInt64(values[0]);
	exemption.subjects = warden_subject_patterns(values[1], &exemption.subject_count);
	bound.relations = stored_array(values[3], false);
	exemption.targets = stored_patterns(values[2], &bound, &exemption.target_count);
	exemption.until = nulls[4] ? INT64_MAX : DatumGetTimestampTz(values[4]);
	if (exemption.until != INT64_MAX)
		warden_last_expiry = Max(warden_last_expiry, exemption.until);
	SWIFT_GET(added, warden_policy_add_exemption(&exemption, warden_texts(), &verdict));
	if (!added)
		row_refused(&verdict);
}

/*
 * Which column a mask is of. In another database, or after a restore, the numbers may differ: the name tells; and of a
 * column that was dropped, whose mask is for what gets its name.
 */
static AttrNumber
masked_column(Oid relation, AttrNumber attnum, const char *name, Oid made_for)
{
	if (attnum == 0 || made_for != relation || warden_column_name(relation, attnum) == NULL)
		attnum = get_attnum(relation, name);
	return attnum > 0 ? attnum : WARDEN_MASK_OF_NO_COLUMN;
}

static void
read_mask(Datum *values, bool *nulls)
{
	WardenMaskEntry *entry = &warden_masks[warden_mask_count];

	entry->relation = DatumGetObjectId(values[0]);
	entry->column = masked_column(entry->relation, DatumGetInt16(values[1]), NameStr(*DatumGetName(values[2])),
								  nulls[8] ? InvalidOid : DatumGetObjectId(values[8]));
	strlcpy(entry->method, TextDatumGetCString(values[3]), sizeof(entry->method));
	entry->by_label = strcmp(TextDatumGetCString(values[6]), "label") == 0;
	warden_mask_count++;
	warden_masks = repalloc(warden_masks, sizeof(WardenMaskEntry) * (warden_mask_count + 1));
}

static void
read_label(Datum *values, bool *nulls)
{
	WardenLabelRow row = {DatumGetObjectId(values[0]), DatumGetObjectId(values[1]), DatumGetInt16(values[2]),
	NameStr(*DatumGetName(values[3])), TextDatumGetCString(values[4])};

	(void) nulls;
	warden_labels_add(&row);
}

static void
load_rows(void)
{
	rows_refused = false;
	warden_hours_in_force = false;
	SWIFT(warden_policy_begin());
	each_row(warden_catalog.guard_policy, read_guard);
	warden_last_expiry = 0;
	each_row(warden_catalog.exemption_policy, read_exemption);
	if (warden_masks != NULL)
		pfree(warden_masks);
	warden_mask_count = 0;
	warden_masks = MemoryContextAlloc(TopMemoryContext, sizeof(WardenMaskEntry));
	each_row(warden_catalog.mask_policy, read_mask);
	warden_labels_begin();
	each_row(warden_catalog.label_policy, read_label);
	warden_labels_commit();
	if (rows_refused)
		SWIFT(warden_policy_discard());
	else
		SWIFT(warden_policy_commit());
}

void
warden_policy_load(void)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "pg_warden policy", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	bool		snapshot = !ActiveSnapshotSet();

	/* an invalidation that arrives while loading makes it stale again */
	warden_policy_stale = false;
	named_roles = NIL;
	warden_internal_depth++;
	if (snapshot)
		PushActiveSnapshot(GetCatalogSnapshot(warden_catalog.guard_policy));
	collecting_roles = true;
	PG_TRY();
	{
		load_rows();
	}
	PG_CATCH();
	{
		collecting_roles = false;
		warden_internal_depth--;
		warden_policy_stale = true;
		SWIFT(warden_policy_discard());
		PG_RE_THROW();
	}
	PG_END_TRY();
	collecting_roles = false;
	if (snapshot)
		PopActiveSnapshot();
	warden_internal_depth--;
	warden_any_masks = warden_mask_count > 0;
	warden_policy_generation++;
	SWIFT_GET(warden_guarded_classes, warden_policy_classes());
	SWIFT_GET(warden_limited_classes, warden_policy_limited());
	MemoryContextSwitchTo(caller);
	/* which relations are masked is part of their facts */
	warden_objects_invalidate(InvalidOid);
	MemoryContextSwitchTo(memory);
	{
		Oid		   *roles = palloc(sizeof(Oid) * (list_length(named_roles) + 1));
		ListCell   *cell;
		int			n = 0;

		foreach(cell, named_roles)
			roles[n++] = lfirst_oid(cell);
		warden_session_roles(roles, n);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
}
