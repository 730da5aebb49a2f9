/* libpq as the tests see it. The field codes are character macros, which Swift does not import. */
#include <libpq-fe.h>

static const int WARDEN_DIAG_SQLSTATE = PG_DIAG_SQLSTATE;
static const int WARDEN_DIAG_MESSAGE = PG_DIAG_MESSAGE_PRIMARY;
static const int WARDEN_DIAG_DETAIL = PG_DIAG_MESSAGE_DETAIL;
static const int WARDEN_DIAG_HINT = PG_DIAG_MESSAGE_HINT;
static const int WARDEN_DIAG_CONTEXT = PG_DIAG_CONTEXT;
