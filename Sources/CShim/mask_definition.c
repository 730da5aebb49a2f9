/*
 * Defining masks: gathers the facts of the column; Swift decides what expression masks it, or why none can.
 */
#include "mask_definition.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static WardenTypeKind
kind_of_base(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return WARDEN_TYPE_INTEGER;
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case MONEYOID:
			return WARDEN_TYPE_NUMERIC;
		case BOOLOID:
			return WARDEN_TYPE_BOOLEAN;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return WARDEN_TYPE_DATE;
		case TIMEOID:
		case TIMETZOID:
			return WARDEN_TYPE_TIME;
		case INTERVALOID:
			return WARDEN_TYPE_INTERVAL;
		case UUIDOID:
			return WARDEN_TYPE_UUID;
		case JSONOID:
		case JSONBOID:
			return WARDEN_TYPE_JSON;
		case BYTEAOID:
			return WARDEN_TYPE_BYTEA;
		case INETOID:
		case CIDROID:
			return WARDEN_TYPE_NETWORK;
		default:
			break;
	}
	if (OidIsValid(get_element_type(type)))
		return WARDEN_TYPE_ARRAY;
	if (get_typtype(type) == TYPTYPE_ENUM)
		return WARDEN_TYPE_ENUM;
	return WARDEN_TYPE_OTHER;
}

static WardenTypeKind
kind_of(Oid type)
{
	char		category;
	bool		preferred;

	if (type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == NAMEOID)
		return WARDEN_TYPE_TEXT;
	get_type_category_preferred(type, &category, &preferred);
	/* citext and the like; not "char", regclass … */
	if (category == TYPCATEGORY_STRING && type >= FirstNormalObjectId)
		return WARDEN_TYPE_TEXT;
	return kind_of_base(type);
}

static WardenText
option_text(JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return warden_text(pnstrdup(value->val.string.val, value->val.string.len));
		case jbvNumeric:
			return warden_text(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric))));
		case jbvBool:
			return warden_text(value->val.boolean ? "true" : "false");
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("mask options must be strings, numbers or booleans"),
					 errhint("For example: {\"prefix\": 1, \"fill\": \"***\"}.")));
	}
}

static void
fill_options(WardenMaskDefinition *definition, Jsonb *options)
{
	JsonbIterator *iterator = JsonbIteratorInit(&options->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	int			room = (int) JB_ROOT_COUNT(options) + 1;
	WardenText *keys = palloc0(sizeof(WardenText) * room);
	WardenText *values = palloc0(sizeof(WardenText) * room);

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("mask options must be a JSON object"),
				 errhint("For example: {\"prefix\": 1, \"fill\": \"***\"}.")));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			keys[definition->option_count] = option_text(&value);
		else if (token == WJB_VALUE)
			values[definition->option_count++] = option_text(&value);
	}
	definition->keys = keys;
	definition->values = values;
}

static void
fill_type(WardenMaskDefinition *definition, Form_pg_attribute attribute)
{
	Oid			base = getBaseType(attribute->atttypid);

	definition->type_name = warden_text(format_type_extended(attribute->atttypid, attribute->atttypmod,
															  FORMAT_TYPE_TYPEMOD_GIVEN |
															  FORMAT_TYPE_FORCE_QUALIFY));
	definition->type = kind_of(base);
	definition->is_domain = base != attribute->atttypid;
	definition->max_characters = -1;
	if ((base == VARCHAROID || base == BPCHAROID) && attribute->atttypmod > (int32) VARHDRSZ)
		definition->max_characters = attribute->atttypmod - (int32) VARHDRSZ;
}

char *
warden_define_mask(Oid relid, AttrNumber attnum, const char *method, Jsonb *options, char **chosen)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
	WardenMaskDefinition definition = {0};
	WardenBuffer expression = {palloc(4096), 4096, 0};
	WardenBuffer method_chosen = {palloc(64), 64, 0};
	WardenVerdict verdict;
	char	   *column;
	bool		defined;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "pg_warden: column %d of relation %u does not exist", attnum, relid);
	column = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	fill_type(&definition, (Form_pg_attribute) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	definition.target = warden_text(psprintf("%s.%s", quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
																					 get_rel_name(relid)),
											 quote_identifier(column)));
	definition.method = warden_text(method);
	definition.column = warden_text(quote_identifier(column));
	fill_options(&definition, options);
	SWIFT_GET(defined, warden_mask_expression(&definition, &expression, &method_chosen, warden_texts(), &verdict));
	if (!defined)
		warden_raise(&verdict);
	*chosen = pnstrdup((char *) method_chosen.bytes, method_chosen.length);
	return pnstrdup((char *) expression.bytes, expression.length);
}
