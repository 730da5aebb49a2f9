/*
 * Facts in the making: memory of one statement's facts, used up before any other statement can start.
 */
#include "shim.h"

#include "catalog/pg_class.h"
#include "utils/memutils.h"

MemoryContext
warden_statement_memory(void)
{
	static MemoryContext memory = NULL;

	if (memory == NULL)
		memory = AllocSetContextCreate(TopMemoryContext, "pg_warden statement", ALLOCSET_DEFAULT_SIZES);
	return memory;
}

void
warden_facts_beside(WardenFacts *facts, const char *command)
{
	memset(facts, 0, sizeof(*facts));
	facts->statement.command = warden_text(command);
}

void
warden_facts_begin(WardenFacts *facts, const char *command)
{
	warden_pending_record();
	MemoryContextReset(warden_statement_memory());
	warden_facts_beside(facts, command);
}

static WardenAccess *
next_access(WardenFacts *facts)
{
	if (facts->count == facts->room)
	{
		int			room = Max(4, facts->room * 2);
		WardenAccess *larger = MemoryContextAlloc(warden_statement_memory(), sizeof(WardenAccess) * room);

		if (facts->count > 0)
			memcpy(larger, facts->accesses, sizeof(WardenAccess) * facts->count);
		facts->accesses = larger;
		facts->room = room;
	}
	return &facts->accesses[facts->count++];
}

static bool
is_same(WardenText one, WardenText other)
{
	return one.length == other.length && (one.bytes == other.bytes || memcmp(one.bytes, other.bytes, one.length) == 0);
}

static WardenAccess *
new_access(WardenFacts *facts, const WardenObject *object, WardenClasses classes, WardenText via)
{
	WardenAccess *access = next_access(facts);

	memset(access, 0, sizeof(*access));
	access->object = object;
	access->classes = classes;
	access->via = via;
	facts->statement.accesses = facts->accesses;
	facts->statement.access_count = facts->count;
	return access;
}

WardenAccess *
warden_facts_access_via(WardenFacts *facts, const WardenObject *object, WardenClasses classes, WardenText via)
{
	facts->statement.classes |= classes;
	for (int i = 0; i < facts->count; i++)
		if (facts->accesses[i].object == object && is_same(facts->accesses[i].via, via))
		{
			facts->accesses[i].classes |= classes;
			return &facts->accesses[i];
		}
	return new_access(facts, object, classes, via);
}

WardenAccess *
warden_facts_access(WardenFacts *facts, const WardenObject *object, WardenClasses classes)
{
	facts->statement.classes |= classes;
	for (int i = 0; i < facts->count; i++)
		if (facts->accesses[i].object == object)
		{
			facts->accesses[i].classes |= classes;
			return &facts->accesses[i];
		}
	return new_access(facts, object, classes, warden_via(NULL));
}

WardenAccess *
warden_facts_fall(WardenFacts *facts, const WardenObject *object, WardenClasses classes)
{
	facts->falling |= classes;
	facts->falls++;
	return new_access(facts, object, classes, warden_text(NULL));
}

void
warden_access_write(WardenAccess *access, int column)
{
	int64_t		count = access->written_count;
	int64_t		at = 0;
	int16_t    *columns;

	while (at < count && access->written_columns[at] < column)
		at++;
	if (at < count && access->written_columns[at] == column)
		return;
	columns = MemoryContextAlloc(warden_statement_memory(), sizeof(int16_t) * (count + 1));
	if (count > 0)
	{
		memcpy(columns, access->written_columns, sizeof(int16_t) * at);
		memcpy(columns + at + 1, access->written_columns + at, sizeof(int16_t) * (count - at));
	}
	columns[at] = (int16_t) column;
	access->written_columns = columns;
	access->written_count = count + 1;
}

void
warden_facts_column(WardenFacts *facts, const WardenObject *object, WardenClasses classes, int column)
{
	WardenAccess *access = NULL;

	facts->statement.classes |= classes;
	for (int i = 0; i < facts->count && access == NULL; i++)
		if (facts->accesses[i].object == object && facts->accesses[i].classes == classes &&
			(facts->accesses[i].written_count > 0) == (column > 0) && facts->accesses[i].chain.bytes == NULL)
			access = &facts->accesses[i];
	if (access == NULL)
		access = new_access(facts, object, classes, warden_via(NULL));
	if (column > 0)
		warden_access_write(access, column);
}

void
warden_facts_complete(WardenFacts *facts)
{
	facts->named = facts->statement.classes;
	facts->statement.classes |= facts->falling;
}

void
warden_facts_keep_named(WardenFacts *facts)
{
	int			count = 0;

	if (likely(facts->falls == 0))
		return;
	for (int i = 0; i < facts->count; i++)
		if (facts->accesses[i].chain.bytes == NULL && facts->accesses[i].object->oid != InvalidOid)
			facts->accesses[count++] = facts->accesses[i];
	facts->count = count;
	facts->statement.access_count = count;
	facts->statement.classes = facts->named;
}

void
warden_facts_relation(WardenFacts *facts, Oid relid, WardenClasses classes)
{
	WardenRelation *relation = warden_relation(relid);

	if (relation != NULL)
		(void) warden_facts_access(facts, &relation->object, classes);
}

int
warden_ascending(const void *a, const void *b)
{
	return *(const int16_t *) a - *(const int16_t *) b;
}

void
warden_facts_columns(WardenFacts *facts, Oid relid, List *columns)
{
	int16_t    *written = MemoryContextAlloc(warden_statement_memory(), sizeof(int16_t) * (list_length(columns) + 1));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, columns)
		written[count++] = (int16_t) lfirst_int(cell);
	qsort(written, count, sizeof(int16_t), warden_ascending);
	for (int i = 0; i < facts->count; i++)
		if (facts->accesses[i].object->catalog == RelationRelationId && facts->accesses[i].object->oid == relid &&
			facts->accesses[i].chain.bytes == NULL)
		{
			facts->accesses[i].written_columns = written;
			facts->accesses[i].written_count = count;
		}
}

WardenClasses
warden_command_class(CmdType command)
{
	switch (command)
	{
		case CMD_SELECT:
			return WARDEN_CLASS_READ;
		case CMD_INSERT:
			return WARDEN_CLASS_INSERT;
		case CMD_UPDATE:
			return WARDEN_CLASS_UPDATE;
		case CMD_DELETE:
			return WARDEN_CLASS_DELETE;
		case CMD_MERGE:
			return WARDEN_CLASS_MERGE;
		default:
			return 0;
	}
}
