/*
 * Masks of arrays.
 */
#include "mask_each.h"
#include "mask_call.h"

#include "utils/array.h"
#include "utils/lsyscache.h"

static Datum
mask_of(FunctionCallInfo fcinfo, PGFunction mask, Datum value)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	Datum		result;

	InitFunctionCallInfoData(*call, fcinfo->flinfo, fcinfo->nargs, fcinfo->fncollation, NULL, NULL);
	memcpy(call->args, fcinfo->args, sizeof(NullableDatum) * fcinfo->nargs);
	call->args[0].value = value;
	result = mask(call);
	if (call->isnull)
		elog(ERROR, "pg_warden: a mask of an element is NULL");
	return result;
}

Datum
warden_mask_each(FunctionCallInfo fcinfo, PGFunction mask, Oid element)
{
	ArrayType  *array;
	Datum	   *values;
	bool	   *nulls;
	int			count;
	int16		length;
	bool		by_value;
	char		align;

	WARDEN_MASK_CALL_ONLY(fcinfo);
	array = PG_GETARG_ARRAYTYPE_P(0);
	/* what the view's cast made of the column; anything else would be read as what it is not */
	if (ARR_ELEMTYPE(array) != element)
		elog(ERROR, "pg_warden: an array of type %u is masked as one of type %u", ARR_ELEMTYPE(array), element);
	get_typlenbyvalalign(element, &length, &by_value, &align);
	deconstruct_array(array, element, length, by_value, align, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			values[i] = mask_of(fcinfo, mask, values[i]);
	PG_RETURN_ARRAYTYPE_P(construct_md_array(values, nulls, ARR_NDIM(array), ARR_DIMS(array), ARR_LBOUND(array),
											 element, length, by_value, align));
}
