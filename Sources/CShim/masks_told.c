/*
 * What the view warden.masks tells of a mask besides its row: the masking view, and who does not see the mask.
 */
#include "sql.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(warden_sql_masking_view);
PG_FUNCTION_INFO_V1(warden_sql_exemptions_of);

Datum
warden_sql_masking_view(PG_FUNCTION_ARGS)
{
	const char *name;

	warden_ready();
	name = warden_mask_view_name(PG_GETARG_OID(0));
	if (!OidIsValid(get_relname_relid(name, warden_catalog.views)))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(quote_qualified_identifier("warden_views", name)));
}

static Datum
ids_array(const int64_t *ids, int64_t count)
{
	Datum	   *elements = palloc(sizeof(Datum) * (count + 1));

	for (int64_t i = 0; i < count; i++)
		elements[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(elements, (int) count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum
warden_sql_exemptions_of(PG_FUNCTION_ARGS)
{
	WardenRelation *relation;
	int64_t		room = 0;
	int64_t		count = 16;
	int64_t    *ids = NULL;

	warden_ready();
	relation = warden_relation(PG_GETARG_OID(0));
	if (relation == NULL)
		PG_RETURN_NULL();
	while (count > room)
	{
		room = count;
		ids = palloc(sizeof(int64_t) * room);
		SWIFT_GET(count, warden_mask_exemptions(&relation->object, PG_GETARG_INT16(1), GetCurrentTimestamp(), ids, room));
	}
	PG_RETURN_DATUM(ids_array(ids, count));
}
