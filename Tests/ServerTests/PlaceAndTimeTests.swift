import Foundation
import Testing

extension ServerTests {
  /// Guards that are for clients of some networks, or hold at some hours.
  @Suite struct PlaceAndTimeTests {
    private nonisolated(unsafe) static let suiteShop = Result { try Shop(makeCluster(), database: "places") }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    /// An address of the loopback network that no other server has: the port need not be another one.
    private static let address = "127.\((2...250).randomElement() ?? 9).\((1...250).randomElement() ?? 9).1"

    private static func makeCluster() throws -> Cluster {
      try Cluster([
        Clusters.preload, "listen_addresses = '\(address)'", "log_timezone = 'Asia/Kolkata'",
        "timezone = 'America/New_York'",
      ])
    }

    /// By TCP: the client is 127.0.0.1.
    private func connectFromNetwork(_ role: String = "postgres") throws -> Connection {
      try shop.cluster.connect(role: role, database: shop.database, more: ["host": Self.address])
    }

    private func makeGuard(_ arguments: String) throws { try shop.admin.query("SELECT warden.guard(\(arguments))") }
  }
}

private let updateParcel = "UPDATE shop.parcels SET weight = 6 WHERE id = 1"

// MARK: - Networks

extension ServerTests.PlaceAndTimeTests {
  @Test func networkIsBlocked() throws {
    try makeGuard("'from-outside', 'block', '{update}', '{shop.parcels}', networks => '{10.0.0.0/8,127.0.0.0/8}'")
    let outside = try connectFromNetwork()
    #expect(try outside.query("SELECT inet_client_addr()").value == "127.0.0.1")
    try shop.expectRefusal(of: updateParcel, by: "from-outside", on: outside)
    #expect(try shop.connect().query(updateParcel).affected == 1)
    try makeGuard("'from-outside', 'block', '{update}', '{shop.parcels}', networks => '{10.0.0.0/8,127.0.0.2/32,::/0}'")
    #expect(try outside.query(updateParcel).affected == 1)
  }

  @Test func networkIsAllowed() throws {
    try makeGuard("'no-updates', 'block', '{update}', '{shop.parcels}'")
    try makeGuard("'office', 'allow', '{update}', '{shop.parcels}', networks => '{127.0.0.1/32}', priority => 1")
    #expect(try connectFromNetwork().query(updateParcel).affected == 1)
    try shop.expectRefusal(of: updateParcel, by: "no-updates", on: try shop.connect())
  }

  /// A worker has no client of its own.
  @Test func parallelWorkerIsWhereItsLeaderIs() throws {
    try shop.admin.query(
      """
      CREATE FUNCTION shop.weigh() RETURNS int PARALLEL SAFE LANGUAGE plpgsql AS
      'BEGIN PERFORM count(*) FROM shop.parcels; RETURN pg_backend_pid(); END'
      """)
    let outside = try connectFromNetwork()
    try outside.query("SET force_parallel_mode = on")
    let process = try outside.query("SELECT shop.weigh() FROM (VALUES (1)) v").value
    #expect(process != nil && process != "\(outside.processID)")
    try makeGuard("'no-reads', 'block', '{read}', '{shop.parcels}', networks => '{127.0.0.0/8}'")
    let error = try #require(outside.error("SELECT shop.weigh() FROM (VALUES (1)) v"))
    #expect(error.detail.contains("Guard \"no-reads\""), "\(error.text)")
    #expect(try shop.connect().query("SELECT shop.weigh()").value != nil)
  }

  private static var hasVersion6: Bool {
    let interfaces = try? String(contentsOfFile: "/proc/net/if_inet6", encoding: .utf8)
    return interfaces?.contains("00000000000000000000000000000001") == true
  }

  @Test(.enabled(if: hasVersion6)) func version6() throws {
    let port = "\((20000...60000).randomElement() ?? 20000)"
    let cluster = try Cluster([Clusters.preload, "listen_addresses = '::1'", "port = \(port)"])
    let inside = try cluster.connect(more: ["port": port])
    let outside = try cluster.connect(more: ["port": port, "host": "::1"])
    try inside.query("CREATE EXTENSION pg_warden; CREATE TABLE public.t (i int)")
    for (networks, isMeant) in [
      ("::1", true), ("::/0", true), ("::/64", true), ("::2/128", false), ("fd00::/8", false), ("0.0.0.0/0", false),
      ("127.0.0.1/32", false),
    ] {
      try inside.query(
        "SELECT warden.guard('v6', 'block', '{insert}', '{public.t}', networks => '{\(networks)}')")
      #expect(outside.error("INSERT INTO public.t VALUES (1)")?.sqlstate == (isMeant ? "42501" : nil), "\(networks)")
      #expect(inside.error("INSERT INTO public.t VALUES (1)") == nil)
    }
  }
}

// MARK: - Hours

extension ServerTests.PlaceAndTimeTests {
  /// Hours around this one in a zone, or those far from it; wide enough for a test that takes its time.
  private func hours(in zone: String, around: Bool) throws -> String {
    let (from, to) = around ? ("-2", "2") : ("8", "12")
    let hours = try shop.admin.query(
      """
      SELECT to_char((now() AT TIME ZONE '\(zone)') + interval '\(from) hours', 'HH24:MI') || '-' ||
             to_char((now() AT TIME ZONE '\(zone)') + interval '\(to) hours', 'HH24:MI')
      """)
    return try #require(hours.value)
  }

  /// Six zones, so that some of the hours pass midnight.
  @Test(arguments: [
    "UTC", "Europe/Oslo", "Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Honolulu", "Asia/Tokyo",
  ])
  func hoursInZone(_ zone: String) throws {
    let owner = try shop.connect("shop_owner")
    try makeGuard("'now', 'block', '{update}', '{shop.parcels}', hours => '\(hours(in: zone, around: true)) \(zone)'")
    try shop.expectRefusal(of: updateParcel, by: "now", on: owner)
    try makeGuard("'now', 'block', '{update}', '{shop.parcels}', hours => '\(hours(in: zone, around: false)) \(zone)'")
    #expect(try owner.query(updateParcel).affected == 1)
  }

  @Test func withoutZoneTheServersOwnCounts() throws {
    let owner = try shop.connect("shop_owner")
    try makeGuard("'now', 'block', '{update}', '{shop.parcels}', hours => '\(hours(in: "Asia/Kolkata", around: true))'")
    for zone in ["DEFAULT", "'America/Los_Angeles'", "'UTC'", "'Pacific/Auckland'", "'Asia/Tokyo'"] {
      try owner.query("SET timezone = \(zone)")
      try shop.expectRefusal(of: updateParcel, by: "now", on: owner)
    }
    #expect(owner.error("SET log_timezone = 'UTC'")?.sqlstate == "55P02")
  }

  @Test func leaveAtHours() throws {
    let owner = try shop.connect("shop_owner")
    try makeGuard("'no-updates', 'block', '{update}', '{shop.parcels}'")
    let around = try hours(in: "UTC", around: true)
    try makeGuard("'window', 'allow', '{update}', '{shop.parcels}', hours => '\(around) UTC', priority => 1")
    #expect(try owner.query(updateParcel).affected == 1)
    let far = try hours(in: "UTC", around: false)
    try makeGuard("'window', 'allow', '{update}', '{shop.parcels}', hours => '\(far) utc', priority => 1")
    try shop.expectRefusal(of: updateParcel, by: "no-updates", on: owner)
  }

  @Test(arguments: [
    "8-16", "08:00-16:00 Europe/Oslo1", "08:00-16:00 EST5", "08:00-08:00", "08:00-16:00 ../../etc/passwd",
    "08:00-16:00 localtime\u{1}", "08:00-16:00 \(String(repeating: "a", count: 300))", "08:00-16:00  UTC",
  ])
  func badHours(_ hours: String) throws {
    let error = try #require(shop.admin.error("SELECT warden.guard('g', 'block', '{read}', hours => '\(hours)')"))
    #expect(error.sqlstate == "22023")
    #expect(error.hint.contains("HH:MM-HH:MM"))
    #expect(try shop.admin.query("SELECT count(*) FROM warden.guards WHERE name = 'g'").value == "0")
  }
}
