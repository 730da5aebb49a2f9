import Testing

extension ServerTests {
  /// warden.check_masks: the self-test says what is so, does no harm, and can say that a mask leaks.
  @Suite struct CheckMasksTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "check_masks")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }

    /// `caller` checks in the session of somebody who may be any role.
    private func check(_ role: String, by caller: String = "policy_admin") throws -> [[String: String]] {
      let session = try shop.connect()
      try session.query("SET ROLE \(caller)")
      return try session.query("SELECT * FROM warden.check_masks('\(role)')").records
    }

    @Test(arguments: ["policy_admin", "postgres"]) func masksInOrderLeakThroughNoDoor(_ caller: String) throws {
      let before = try shop.contents()
      let rows = try check("analyst", by: caller)
      #expect(rows.allSatisfy { $0["leaks"] == "f" }, "\(rows.filter { $0["leaks"] != "f" })")
      for column in ["name", "email", "phone", "age"] {
        let doors = rows.filter { $0["target"] == "shop.customers.\(column)" }
        #expect(doors.count > 20, "\(column)")
        #expect(doors.first { $0["door"] == "column" }?["detail"] == "no real value is seen")
        #expect(doors.first { $0["door"] == "condition" }?["detail"] == "a real value is not found")
        #expect(doors.first { $0["door"] == "condition of a write" }?["detail"] == "refused (SQLSTATE 42501)")
        #expect(doors.first { $0["door"] == "RETURNING" }?["detail"] == "no real value is seen")
      }
      #expect(rows.contains { $0["door"] == "child shop.events_january" })
      #expect(!"\(rows)".contains(Shop.mark))
      #expect(try shop.contents() == before)
      #expect(try shop.admin.query("SELECT to_regnamespace('warden_check_masks')").value == nil)
    }

    @Test func theSessionStaysWhoItWas() throws {
      let session = try shop.connect()
      try session.query("SET ROLE policy_admin; SELECT * FROM warden.check_masks('analyst')")
      #expect(try session.query("SELECT current_user, session_user").text == "policy_admin|postgres")
      #expect(try session.query("RESET ROLE; SELECT email FROM shop.customers WHERE id = 1").text.contains(Shop.mark))
      let admin = try shop.connect("policy_admin")
      // It is no way to become a role that one may not become.
      for role in ["postgres", "analyst", "shop_owner"] {
        let error = admin.error("SELECT * FROM warden.check_masks('\(role)')")
        #expect(error?.sqlstate == "42501" && error?.detail.contains("SET ROLE") == true, "\(role)")
      }
      #expect(try admin.query("SELECT count(*) > 0 FROM warden.check_masks('policy_admin')").value == "t")
      #expect(admin.error("CREATE TABLE shop.mine ()")?.sqlstate == "42501")
    }

    @Test func whoSeesRealValuesIsSaid() throws {
      try shop.admin.query(
        "GRANT shop_owner TO clerk; SELECT warden.exempt('{role:analyst}', '{shop.customers.email}')")
      defer { _ = try? shop.admin.query("REVOKE shop_owner FROM clerk") }
      for (role, detail) in [
        ("clerk", "the table's owner"), ("shop_owner", "the table's owner"), ("postgres", "superuser"),
      ] {
        let rows = try check(role).filter { $0["target"]?.hasPrefix("shop.") == true }
        #expect(rows.count == 5 && rows.allSatisfy { $0["door"] == "exempt" && $0["leaks"] == "f" }, "\(role)")
        #expect(rows.allSatisfy { $0["detail"]?.contains(detail) == true }, "\(role): \(rows)")
      }
      let rows = try check("analyst").filter { $0["target"] == "shop.customers.email" }
      #expect(rows.map { $0["detail"] } == ["sees real values: exempt"])
    }

    @Test func noPrivilegeNoDoor() throws {
      let rows = try check("clerk").filter { $0["target"] == "shop.customers.email" }
      #expect(rows.map { $0["detail"] } == ["no privilege"])
    }

    /// A mask that leaves the values as they are is one that leaks, by every door that shows values.
    @Test func weakMaskIsFound() throws {
      try shop.connect("shop_owner").query(
        """
        CREATE TABLE shop.firsts (id int, day date); GRANT SELECT ON shop.firsts TO analyst;
        INSERT INTO shop.firsts SELECT i, make_date(1800 + i, 1, 1) FROM generate_series(1, 9) i
        """)
      try shop.admin.query("SELECT warden.mask('shop.firsts.day', 'year')")
      let rows = try check("analyst").filter { $0["target"] == "shop.firsts.day" }
      let leaking = rows.filter { $0["leaks"] == "t" }.compactMap { $0["door"] }
      for door in ["column", "star", "whole row", "json", "cursor", "CREATE TABLE AS", "the owner's function"] {
        #expect(leaking.contains(door), "\(door): \(rows)")
      }
      #expect(!"\(rows)".contains("180"))
    }

    /// Code of the table's owner runs as the role that is checked for, and cannot become the caller.
    @Test func codeOfUsersDoesNotBecomeTheCaller() throws {
      try shop.connect("shop_owner").query(
        """
        CREATE FUNCTION shop.climbs() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
          IF current_user = 'analyst' THEN RESET ROLE; END IF; RETURN true; END$$;
        ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
        CREATE POLICY climbs ON shop.customers USING (shop.climbs())
        """)
      let rows = try check("analyst", by: "postgres").filter { $0["target"] == "shop.customers.email" }
      #expect(rows.first { $0["door"] == "column" }?["detail"] == "refused (SQLSTATE 42501)", "\(rows)")
      #expect(rows.allSatisfy { $0["leaks"] == "f" })
    }

    @Test func itIsForPolicyAdmins() throws {
      #expect(shop.admin.error("SELECT * FROM warden.check_masks('nobody_here')")?.sqlstate == "42704")
      #expect(shop.admin.error("SELECT * FROM warden.check_masks(NULL)")?.sqlstate == "22023")
      let refused = try shop.connect("analyst").error("SELECT * FROM warden.check_masks('analyst')")
      #expect(refused?.sqlstate == "42501")
    }
  }
}
