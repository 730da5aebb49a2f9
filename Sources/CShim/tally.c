/*
 * Rows changed within one statement of the client's: how many of which object, by statements of which classes. Guards
 * with max_rows are held against these, so that a thousand statements on one row each, run by one function, count as
 * the thousand rows that they are. Rows that were taken back by a savepoint stay counted.
 *
 * A row counts for the table that it is in, and for every table that a statement around the change names: what a
 * cascade or a trigger does counts for the statement that set it off.
 */
#include "shim.h"

#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"

static const WardenClasses changes = WARDEN_CLASS_INSERT | WARDEN_CLASS_UPDATE | WARDEN_CLASS_DELETE | WARDEN_CLASS_MERGE |
	WARDEN_CLASS_UPDATE_ALL | WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_COPY_IN;

/* What a row is going to count for, each once. */
typedef struct Keys
{
	WardenTally *keys;
	int			count;
	int			room;
} Keys;

static void
add_key(Keys *keys, Oid catalog, Oid oid, WardenClasses classes)
{
	for (int i = 0; i < keys->count; i++)
		if (keys->keys[i].oid == oid && keys->keys[i].catalog == catalog)
		{
			keys->keys[i].classes |= classes;
			return;
		}
	if (keys->count == keys->room)
	{
		keys->room = Max(16, keys->room * 2);
		keys->keys = keys->keys ? repalloc(keys->keys, sizeof(WardenTally) * keys->room) :
			palloc(sizeof(WardenTally) * keys->room);
	}
	keys->keys[keys->count++] = (WardenTally) {catalog, oid, classes, 0};
}

static void
add_object(Keys *keys, const WardenAccess *access)
{
	const WardenObject *object = access->object;
	WardenClasses classes = access->classes & changes;

	add_key(keys, RelationRelationId, object->oid, classes);
	for (int64_t i = 0; i < object->ancestor_count; i++)
		add_key(keys, RelationRelationId, object->ancestors[i], classes);
	add_key(keys, NamespaceRelationId, object->schema, classes);
	/* all objects together */
	add_key(keys, InvalidOid, InvalidOid, classes);
}

static bool
is_changed(const WardenAccess *access)
{
	return (access->classes & changes) != 0 && access->object->catalog == RelationRelationId &&
		(access->object->flags & WARDEN_OBJECT_TEMPORARY) == 0;
}

/* It is changed as a part of a table that the statement names. */
static bool
is_part(const WardenStatement *statement, const WardenObject *object)
{
	for (int64_t i = 0; i < statement->access_count; i++)
		for (int64_t a = 0; a < object->ancestor_count; a++)
			if (statement->accesses[i].object->oid == object->ancestors[a] && is_changed(&statement->accesses[i]))
				return true;
	return false;
}

/* The tables that the statement names as those to change; and `table`, where it is one of their parts. */
static void
add_statement(Keys *keys, const WardenStatement *statement, Oid table)
{
	for (int64_t i = 0; i < statement->access_count; i++)
	{
		const WardenAccess *access = &statement->accesses[i];

		if (is_changed(access) && (access->object->oid == table || !is_part(statement, access->object)))
			add_object(keys, access);
	}
}

static int
entry_of(WardenTallies *tallies, const WardenTally *key)
{
	for (int i = 0; i < tallies->count; i++)
	{
		const WardenTally *entry = &tallies->entries[i];

		if (entry->oid == key->oid && entry->catalog == key->catalog && entry->classes == key->classes)
			return i;
	}
	if (tallies->count == tallies->room)
	{
		int			room = Max(16, tallies->room * 2);

		tallies->entries = tallies->entries ? repalloc(tallies->entries, sizeof(WardenTally) * room) :
			MemoryContextAlloc(tallies->memory, sizeof(WardenTally) * room);
		tallies->room = room;
	}
	tallies->entries[tallies->count] = *key;
	return tallies->count++;
}

void
warden_tally_for(WardenTallied *tallied, const WardenLimited *limited, Oid table)
{
	MemoryContext caller = MemoryContextSwitchTo(limited->memory);
	Keys		keys = {NULL, 0, 0};

	for (const WardenLimited *around = limited; around != NULL; around = around->outer)
		add_statement(&keys, &around->facts.statement, around == limited ? table : InvalidOid);
	tallied->entries = palloc(sizeof(int) * (keys.count + 1));
	tallied->count = keys.count;
	for (int i = 0; i < keys.count; i++)
		tallied->entries[i] = entry_of(limited->tallies, &keys.keys[i]);
	if (keys.keys)
		pfree(keys.keys);
	MemoryContextSwitchTo(caller);
}

void
warden_tally_rows(WardenTallies *tallies, const WardenTallied *tallied, int64 rows)
{
	for (int i = 0; i < tallied->count; i++)
		tallies->entries[tallied->entries[i]].rows += rows;
}
