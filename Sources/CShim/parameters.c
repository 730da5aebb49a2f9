/*
 * The values of a statement's parameters, as the audit shows them: as their types write them, long ones by their beginning.
 * They live in the statement's memory, or stay where they are.
 */
#include "shim.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/params.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Bytes of one value. */
#define VALUE_LIMIT 1024
/* Bytes of all values of a statement: a record has no room for more. */
#define VALUES_LIMIT (64 * 1024)

/* How values of a type are written; looked up once per backend and type. */
typedef struct Writer
{
	Oid			type;
	int16		length;			/* as pg_type.typlen */
	bool		is_text;		/* its bytes are what it writes */
	FmgrInfo	output;
} Writer;

#define WRITERS 32

static bool
writes_its_bytes(Oid type)
{
	Oid			base = getBaseType(type);

	return base == TEXTOID || base == VARCHAROID || base == BPCHAROID || base == JSONOID || base == XMLOID;
}

static Writer *
writer_of(Oid type)
{
	static Writer writers[WRITERS];
	Writer	   *writer = &writers[type % WRITERS];
	Oid			output;
	bool		is_varlena;

	if (likely(writer->type == type))
		return writer;
	writer->type = InvalidOid;
	getTypeOutputInfo(type, &output, &is_varlena);
	fmgr_info_cxt(output, &writer->output, TopMemoryContext);
	writer->length = get_typlen(type);
	writer->is_text = writes_its_bytes(type);
	writer->type = type;
	return writer;
}

static void
set_text(WardenParameter *parameter, const char *text, int64 length)
{
	parameter->value.bytes = (const uint8_t *) text;
	parameter->value.length = length;
	if (length <= VALUE_LIMIT)
		return;
	parameter->value.length = pg_mbcliplen(text, (int) length, VALUE_LIMIT);
	parameter->full_length = length;
}

static void
set_size(WardenParameter *parameter, int64 size)
{
	char	   *text = psprintf("(" INT64_FORMAT " bytes)", size);

	set_text(parameter, text, (int64) strlen(text));
}

/* A value too long to be written whole; of a stored one only the beginning is fetched. */
static void
write_beginning(WardenParameter *parameter, const Writer *writer, Datum value, int64 size, int64 room)
{
	struct varlena *part;

	if (room == 0 || (!writer->is_text && writer->type != BYTEAOID))
	{
		set_size(parameter, size);
		return;
	}
	part = PG_DETOAST_DATUM_SLICE(value, 0, writer->is_text ? VALUE_LIMIT + MAX_MULTIBYTE_CHAR_LEN : VALUE_LIMIT / 2 - 1);
	if (writer->is_text)
	{
		set_text(parameter, VARDATA_ANY(part), VARSIZE_ANY_EXHDR(part));
		parameter->full_length = size;
		return;
	}
	set_text(parameter, OutputFunctionCall((FmgrInfo *) &writer->output, PointerGetDatum(part)), VALUE_LIMIT);
	parameter->full_length = 2 + 2 * size;
}

static void
write_varlena(WardenParameter *parameter, Writer *writer, Datum value, int64 room)
{
	struct varlena *pointer = (struct varlena *) DatumGetPointer(value);
	int64		size = (int64) toast_raw_datum_size(value) - VARHDRSZ;

	if (size > Min(VALUE_LIMIT, room))
		write_beginning(parameter, writer, value, size, room);
	else if (writer->is_text && !VARATT_IS_EXTENDED(pointer))
		set_text(parameter, VARDATA(pointer), size);
	else if (writer->is_text)
	{
		struct varlena *plain = PG_DETOAST_DATUM_PACKED(value);

		set_text(parameter, VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));
	}
	else
	{
		char	   *text = OutputFunctionCall(&writer->output, value);

		set_text(parameter, text, (int64) strlen(text));
	}
}

static void
write_value(WardenParameter *parameter, Oid type, Datum value, int64 room)
{
	char	   *text;
	Writer	   *writer;

	switch (type)
	{
		case INT4OID:
			text = palloc(12);
			set_text(parameter, text, pg_ltoa(DatumGetInt32(value), text));
			return;
		case INT8OID:
			text = palloc(MAXINT8LEN + 1);
			set_text(parameter, text, pg_lltoa(DatumGetInt64(value), text));
			return;
		case BOOLOID:
			set_text(parameter, DatumGetBool(value) ? "t" : "f", 1);
			return;
		default:
			break;
	}
	writer = writer_of(type);
	if (writer->length == -1)
	{
		write_varlena(parameter, writer, value, room);
		return;
	}
	text = OutputFunctionCall(&writer->output, value);
	set_text(parameter, text, (int64) strlen(text));
}

/* Variables of a procedural language come by number, and those that the query does not use have no type. */
static const ParamExternData *
fetch(ParamListInfo params, int number, ParamExternData *workspace)
{
	if (params->paramFetch == NULL)
		return &params->params[number - 1];
	return params->paramFetch(params, number, true, workspace);
}

void
warden_parameters(WardenSource *source, ParamListInfo params, const WardenRedaction *redaction)
{
	MemoryContext caller;
	WardenParameter *values;
	int64		room = VALUES_LIMIT;
	int			count = 0;

	if (params == NULL || params->numParams == 0 || warden_audit_parameters == WARDEN_PARAMETERS_NONE)
		return;
	caller = MemoryContextSwitchTo(warden_statement_memory());
	values = palloc(sizeof(WardenParameter) * params->numParams);
	for (int number = 1; number <= params->numParams; number++)
	{
		ParamExternData workspace;
		const ParamExternData *param = fetch(params, number, &workspace);

		if (!OidIsValid(param->ptype) && params->paramFetch != NULL)
			continue;
		memset(&values[count], 0, sizeof(WardenParameter));
		values[count].sensitive = redaction->everything || bms_is_member(number, redaction->parameters);
		if (!param->isnull && OidIsValid(param->ptype))
			write_value(&values[count], param->ptype, param->value, room);
		room = Max(0, room - values[count].value.length);
		count++;
	}
	MemoryContextSwitchTo(caller);
	source->parameters = values;
	source->parameter_count = count;
}
