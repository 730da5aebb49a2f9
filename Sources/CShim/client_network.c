/*
 * The client's address as bits, for guards that are for networks. From the session's entry in the server's list of
 * backends: a parallel worker has no client of its own, and is held to what its leader is.
 */
#include "shim.h"

#include <netinet/in.h>

#include "access/parallel.h"
#include "port/pg_bswap.h"
#include "utils/backend_status.h"

static uint64
word(const uint8 *bytes)
{
	uint64		value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

static WardenNetwork
network_of(const SockAddr *address)
{
	WardenNetwork network = {.prefix = -1};

	if (address->addr.ss_family == AF_INET)
	{
		const struct sockaddr_in *version4 = (const struct sockaddr_in *) &address->addr;

		network.low = UINT64CONST(0xffff) << 32 | pg_ntoh32(version4->sin_addr.s_addr);
		network.prefix = 128;
	}
	else if (address->addr.ss_family == AF_INET6)
	{
		const struct sockaddr_in6 *version6 = (const struct sockaddr_in6 *) &address->addr;

		network.high = word(version6->sin6_addr.s6_addr);
		network.low = word(version6->sin6_addr.s6_addr + 8);
		network.prefix = 128;
	}
	return network;
}

WardenNetwork
warden_client_network(void)
{
	const PgBackendStatus *status = IsParallelWorker() ? WARDEN_LEADER_STATUS() : MyBEEntry;

	if (status == NULL)
		return (WardenNetwork) {.prefix = -1};
	return network_of(&status->st_clientaddr);
}
