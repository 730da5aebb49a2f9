/*
 * Facts in the making: memory of one statement's facts, used up before any other statement can start.
 */
#include "shim.h"

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
warden_facts_begin(WardenFacts *facts, const char *command)
{
	MemoryContextReset(warden_statement_memory());
	memset(facts, 0, sizeof(*facts));
	facts->statement.command = warden_text(command);
}

WardenAccess *
warden_facts_access(WardenFacts *facts, const WardenObject *object, WardenClasses classes)
{
	WardenAccess *access;

	facts->statement.classes |= classes;
	for (int i = 0; i < facts->count; i++)
		if (facts->accesses[i].object == object)
		{
			facts->accesses[i].classes |= classes;
			return &facts->accesses[i];
		}
	if (facts->count == facts->room)
	{
		int			room = Max(4, facts->room * 2);
		WardenAccess *larger = MemoryContextAllocZero(warden_statement_memory(), sizeof(WardenAccess) * room);

		if (facts->count > 0)
			memcpy(larger, facts->accesses, sizeof(WardenAccess) * facts->count);
		facts->accesses = larger;
		facts->room = room;
	}
	access = &facts->accesses[facts->count++];
	memset(access, 0, sizeof(*access));
	access->object = object;
	access->classes = classes;
	facts->statement.accesses = facts->accesses;
	facts->statement.access_count = facts->count;
	return access;
}

void
warden_facts_relation(WardenFacts *facts, Oid relid, WardenClasses classes)
{
	WardenRelation *relation = warden_relation(relid);

	if (relation != NULL)
		(void) warden_facts_access(facts, &relation->object, classes);
}
