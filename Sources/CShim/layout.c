/*
 * Are the audit's tables as CREATE EXTENSION made them? Without the library a superuser may have given them other
 * columns; the values of those, read or written as what they are no more, would take the server down.
 */
#include "writer_rows.h"

#include "catalog/pg_type.h"

#define MOST_COLUMNS WARDEN_AUDIT_COLUMNS

typedef struct Layout
{
	const Oid  *table;			/* of warden_catalog */
	Oid			types[MOST_COLUMNS];	/* up to the first 0 */
} Layout;

static const Layout layouts[] = {
	{&warden_catalog.audit_record,
		{INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT4OID,
		INT4OID, INT4OID, CHAROID, CHAROID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID}},
	{&warden_catalog.audit_context,
		{INT4OID, BYTEAOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}},
	{&warden_catalog.audit_shape,
		{INT4OID, BYTEAOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}},
	{&warden_catalog.audit_chain,
		{BOOLOID, INT8OID, INT8OID, BYTEAOID, UUIDOID, INT8OID, INT4OID}}
};

static bool
fits(TupleDesc desc, const Oid *types)
{
	int			count = 0;

	while (count < MOST_COLUMNS && OidIsValid(types[count]))
		count++;
	if (desc->natts != count)
		return false;
	for (int i = 0; i < count; i++)
		if (TupleDescAttr(desc, i)->attisdropped || TupleDescAttr(desc, i)->atttypid != types[i])
			return false;
	return true;
}

bool
warden_layout_fits(Relation rel, Oid table)
{
	for (size_t i = 0; i < lengthof(layouts); i++)
		if (*layouts[i].table == table && !fits(RelationGetDescr(rel), layouts[i].types))
			return false;
	return true;
}

void
warden_check_layout(Relation rel, Oid table)
{
	if (!warden_layout_fits(rel, table))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("table \"%s\" of the audit has other columns than pg_warden gave it", RelationGetRelationName(rel)),
				 errhint("It was altered while the server ran without pg_warden. Give it back its columns and their types.")));
}
