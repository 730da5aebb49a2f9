import Testing

extension ServerTests {
  /// warden.retain drops what is old, and the rest still verifies.
  @Suite struct RetentionTests {
    /// A trail whose first records are made three days old, with every hash: a partition that retain may drop.
    private func agedShop() throws -> Shop {
      let shop = try Shop(Cluster([Clusters.preload]), database: "aged")
      try shop.refill()
      for number in 0..<10 { try shop.connect("shop_owner").query("SELECT \(number) FROM shop.orders") }
      try shop.admin.query("SELECT warden.flush()")
      try withoutLibrary(
        shop,
        """
        DO $$
        DECLARE day date := (now() AT TIME ZONE 'UTC')::date - 3;
        BEGIN
          EXECUTE format('CREATE TABLE warden.audit_record_%s PARTITION OF warden.audit_record FOR VALUES FROM (%L) TO (%L)',
            to_char(day, 'YYYYMMDD'), day || ' 00:00+00', day + 1 || ' 00:00+00');
          EXECUTE format('ALTER EXTENSION pg_warden ADD TABLE warden.audit_record_%s', to_char(day, 'YYYYMMDD'));
          -- number 15 stays where it is: around midnight the records of two days take turns
          UPDATE warden.audit_record SET at = day::timestamp AT TIME ZONE 'UTC' + seq * interval '1 second'
           WHERE seq <= 20 AND seq <> 15;
        END$$;
        """ + IndependentVerifier.rewrite(from: "1"))
      return shop
    }

    private func withoutLibrary(_ shop: Shop, _ sql: String) throws {
      try shop.cluster.configure(["shared_preload_libraries = ''"])
      try shop.cluster.restart()
      try shop.connect().query(sql)
      try shop.cluster.configure([Clusters.preload])
      try shop.cluster.restart()
      try shop.reconnect()
    }

    private func verdict(_ shop: Shop, _ digest: String? = nil) throws -> [String?] {
      try shop.admin.query("SELECT ok, first_bad_seq, problem FROM warden.verify_audit($1)", digest).rows[0]
    }

    @Test func whatRemainsVerifies() throws {
      let shop = try agedShop()
      let digest = try shop.admin.query("SELECT warden.audit_digest()").value
      #expect(try verdict(shop, digest) == ["t", nil, nil])
      let before = try shop.admin.query("SELECT count(*) FROM warden.audit_record").value
      #expect(try shop.connect("policy_admin").query("SELECT warden.retain('2 days')").value == "1")
      let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'warden.audit_record'::regclass"
      #expect(try shop.admin.query(partitions).value.flatMap { Int($0) } ?? 9 <= 2)
      #expect(try shop.admin.query("SELECT min(seq) FROM warden.audit_log").value == "15")
      #expect(
        try shop.admin.query("SELECT first_seq, last_seq, records, dropped_by FROM warden.audit_retained").rows
          == [["1", "20", "19", "policy_admin"]])
      #expect(before != nil)
      #expect(try verdict(shop) == ["t", nil, nil])
      #expect(try verdict(shop, digest) == ["t", nil, nil], "a digest from before")
      let told = try shop.audit(where: "event = 'policy' AND statement LIKE 'retain: %'")
      #expect(
        told.count == 1 && told.first?["outcome"] == "committed" && told.first?["session_user_name"] == "policy_admin",
        "\(told)")
      // Nothing more is old enough, and the trail goes on.
      #expect(try shop.admin.query("SELECT warden.retain('2 days')").value == "0")
      try shop.connect("shop_owner").query("SELECT count(*) FROM shop.parcels")
      try shop.admin.query("SELECT warden.flush()")
      #expect(try verdict(shop) == ["t", nil, nil])

      // What is kept cannot be changed unseen.
      try withoutLibrary(shop, "UPDATE warden.audit_retained SET records = 18")
      let altered = try verdict(shop)
      #expect(altered[0] == "f" && altered[2]?.contains("what warden.retain keeps") == true, "\(altered)")
      try withoutLibrary(
        shop, "UPDATE warden.audit_retained SET records = 19; UPDATE warden.audit_record SET rows = 4711 WHERE seq = 15"
      )
      #expect(try verdict(shop).prefix(2) == ["f", "15"])
    }

    @Test func rolledBackRetentionDropsNothing() throws {
      let shop = try agedShop()
      try shop.admin.query("BEGIN; SELECT warden.retain('2 days'); ROLLBACK")
      try shop.admin.query("SELECT warden.flush()")
      #expect(try shop.admin.query("SELECT min(seq) FROM warden.audit_log").value == "1")
      #expect(try verdict(shop) == ["t", nil, nil])
      // A digest of what is then dropped can no longer be compared, and that is said.
      let digest = try #require(try shop.admin.query("SELECT warden.audit_digest()").value)
      let last = try #require(digest.split(separator: " ").first { $0.hasPrefix("last_seq=") })
      #expect(try shop.admin.query("SELECT warden.retain('2 days')").value == "1")
      let old = digest.replacingOccurrences(of: last, with: "last_seq=7")
      let verdict = try verdict(shop, old)
      #expect(
        verdict[0] == "f" && verdict[1] == "7" && verdict[2]?.contains("cannot be compared") == true, "\(verdict)")
    }

    @Test func whatIsTooShortOrNotAllowedIsRefused() throws {
      let shop = try Shop(Clusters.governed(), database: "retaining")
      for keep in ["'-1 day'", "'23 hours'", "'0'", "NULL"] {
        let error = shop.admin.error("SELECT warden.retain(\(keep))")
        #expect(error?.sqlstate == "22023" && error?.message.contains("\"keep\"") == true, "\(keep)")
      }
      for role in ["auditor", "shop_owner"] {
        #expect(try shop.connect(role).error("SELECT warden.retain('90 days')")?.sqlstate == "42501")
      }
      #expect(try shop.admin.query("SELECT warden.retain('90 days')").value == "0")
      #expect(
        shop.admin.error("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT warden.retain('90 days')")?.sqlstate == "25001")
      for table in ["audit_retained", "audit_loose"] {
        #expect(shop.admin.error("ROLLBACK; DELETE FROM warden.\(table)")?.sqlstate == "42501")
      }
    }
  }
}
