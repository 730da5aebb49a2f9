/*
 * The server's Port: what a client said at its start, and how it proved who it is.
 *
 * libpq-be.h asks for the headers of the libraries that the server was built with (GSSAPI, OpenSSL), for a few pointers in the
 * structure: their packages need not be there to build us. Without the macros the fields that we read are where they
 * are with them: the server says so of the pointer to GSSAPI's data, and OpenSSL's are the last ones.
 */
#ifndef WARDEN_CLIENT_PORT_H
#define WARDEN_CLIENT_PORT_H

#include "compat.h"

#undef ENABLE_GSS
#undef ENABLE_SSPI
#undef USE_OPENSSL

#include "libpq/auth.h"
#include "libpq/hba.h"
#include "miscadmin.h"

#endif
