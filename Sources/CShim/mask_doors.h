/*
 * The doors that warden.check_masks tries: what a masked subject may say to see a column.
 */
#ifndef WARDEN_MASK_DOORS_H
#define WARDEN_MASK_DOORS_H

#include "shim.h"

typedef enum WardenDoorKind
{
	WARDEN_DOOR_VALUES,			/* the first column is the column's values, as text */
	WARDEN_DOOR_TEXT,			/* a value may stand within the first column, or in the error */
	WARDEN_DOOR_ORACLE			/* rows, or changed rows, that a real value finds ($1) */
} WardenDoorKind;

/*
 * {t}: the table; {c}: the column; {s}: a schema that is there for this door alone; {w}: a
 * column that no mask hides; {x}: an object that holds what the column holds.
 */
typedef struct WardenDoor
{
	const char *name;
	WardenDoorKind kind;
	const char *owners;			/* what the table's owner has made; NULL: nothing */
	const char *before;			/* what the subject says first; NULL: nothing */
	const char *ask;
	bool		writes;			/* only where no trigger would run */
} WardenDoor;

/* A column under trial. */
typedef struct WardenTrial
{
	Oid			role;
	Oid			owner;
	Oid			relation;
	char	   *table;			/* qualified, quoted, as the rest */
	char	   *column;
	char	   *writable;		/* NULL where there is none that may be written without effect */
	List	   *real;			/* real values as text, distinct */
	char	   *probe;			/* one of them that is in no masked row; NULL where there is none */
	MemoryContext memory;		/* outlives the subtransactions */
} WardenTrial;

typedef struct WardenTried
{
	bool		leaks;
	const char *detail;			/* never a value */
} WardenTried;

extern const WardenDoor warden_mask_doors[];
extern const int warden_mask_door_count;

/* Reads the real values, as the table's owner. At most WARDEN_DOOR_ROWS rows are looked at. */
extern void warden_trial_begin(WardenTrial *trial);
/* As the subject, in a subtransaction that is taken back. Raises nothing that the door raises. */
extern WardenTried warden_door_try(WardenTrial *trial, const WardenDoor *door, const char *object);

#define WARDEN_DOOR_ROWS "1000"

#endif
