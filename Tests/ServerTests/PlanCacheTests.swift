import Testing

extension ServerTests {
  /// A plan made for one subject is never run for another, and the right one is made without an error.
  @Suite struct PlanCacheTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "plan_cache")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.admin.query("SELECT warden.mask('shop.customers.email', 'email')")
      try shop.admin.query(
        """
        CREATE OR REPLACE FUNCTION public.mail(k int) RETURNS text LANGUAGE plpgsql AS
        'DECLARE e text; BEGIN SELECT email INTO e FROM shop.customers WHERE id = k; RETURN e; END';
        CREATE OR REPLACE FUNCTION public.definer_mail(k int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
        'DECLARE e text; BEGIN SELECT email INTO e FROM shop.customers WHERE id = k; RETURN e; END';
        """)
    }

    /// Every kind of cached plan, made and run now; afterwards `expect` runs them again.
    private func prepared(_ role: String) throws -> Connection {
      let connection = try shop.connect(role)
      try connection.query("SET plan_cache_mode = force_generic_plan")
      try connection.query("PREPARE one AS SELECT email FROM shop.customers WHERE id = 1")
      try connection.query("PREPARE by (int) AS SELECT email FROM shop.customers WHERE id = $1")
      return connection
    }

    private func expect(
      _ connection: Connection, raw: Bool, _ when: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let value = raw ? "annRAWMARK@raw.example" : Shop.maskedEmail
      for sql in ["EXECUTE one", "EXECUTE by (1)", "SELECT public.mail(1)", "SELECT public.definer_mail(1)"] {
        for _ in 1...2 {
          let error = Result { try connection.query(sql).value }
          #expect((try? error.get()) == value, "\(when): \(sql): \(error)", sourceLocation: sourceLocation)
        }
      }
    }
  }
}

extension ServerTests.PlanCacheTests {
  @Test func rolesOfTheSession() throws {
    let session = try prepared("postgres")
    try expect(session, raw: true, "superuser")
    for (set, reset) in [
      ("SET ROLE analyst", "RESET ROLE"), ("SET SESSION AUTHORIZATION analyst", "RESET SESSION AUTHORIZATION"),
      ("SELECT set_config('role', 'analyst', false)", "SET ROLE NONE"),
      ("BEGIN; SET LOCAL ROLE analyst", "ROLLBACK"), ("BEGIN; SET ROLE analyst", "ROLLBACK"),
      ("BEGIN; SAVEPOINT s; SET ROLE analyst", "ROLLBACK TO s; COMMIT"),
    ] {
      try session.query(set)
      try expect(session, raw: false, set)
      try session.query(reset)
      try expect(session, raw: true, reset)
    }
  }

  @Test func nameOfTheApplication() throws {
    try shop.admin.query("SELECT warden.exempt('{role:analyst & application:trusted}', '{shop.customers.email}')")
    let session = try prepared("analyst")
    try expect(session, raw: false, "another application")
    for (set, reset) in [
      ("SET application_name = 'trusted'", "SET application_name = 'test'"),
      ("BEGIN; SET LOCAL application_name = 'trusted'", "COMMIT"),
      ("BEGIN; SET application_name = 'trusted'", "ROLLBACK"),
      ("SELECT set_config('application_name', 'trusted', false)", "RESET application_name"),
    ] {
      try session.query(set)
      try expect(session, raw: true, set)
      try session.query(reset)
      try expect(session, raw: false, reset)
    }
    try shop.connect("shop_owner").query(
      """
      CREATE FUNCTION shop.trusted_mail() RETURNS text LANGUAGE plpgsql SET application_name = 'trusted' AS
      'BEGIN RETURN public.mail(1); END'
      """)
    #expect(try session.query("SELECT shop.trusted_mail()").value == "annRAWMARK@raw.example")
    try expect(session, raw: false, "after a function's SET")
  }

  @Test func whatAnotherSessionChanges() throws {
    let session = try prepared("analyst")
    try expect(session, raw: false, "at first")
    for (show, hide) in [
      ("SELECT warden.exempt('{role:analyst}')", "SELECT warden.revoke_exemption(id) FROM warden.exemptions"),
      ("GRANT shop_owner TO analyst", "REVOKE shop_owner FROM analyst"),
      ("ALTER ROLE analyst SUPERUSER", "ALTER ROLE analyst NOSUPERUSER"),
      ("SELECT warden.unmask('shop.customers.email')", "SELECT warden.mask('shop.customers.email', 'email')"),
      ("ALTER TABLE shop.customers OWNER TO analyst", "ALTER TABLE shop.customers OWNER TO shop_owner"),
    ] {
      try shop.admin.query(show)
      try expect(session, raw: true, show)
      try shop.admin.query(hide)
      if hide.contains("OWNER") { try shop.admin.query("GRANT ALL ON shop.customers TO analyst") }
      try expect(session, raw: false, hide)
    }
  }

  @Test func exemptionThatEnds() throws {
    try shop.admin.query(
      "SELECT warden.exempt('{role:analyst}', '{shop.customers.email}', clock_timestamp() + interval '1.5 s')")
    let session = try prepared("analyst")
    let other = try prepared("shop_owner")
    try expect(session, raw: true, "while it holds")
    try expect(other, raw: true, "owner")
    try shop.admin.query("SELECT pg_sleep(1.6)")
    try expect(session, raw: false, "when it is over")
    try expect(other, raw: true, "owner, when it is over")
  }

  @Test func plansAreKeptWhereNothingEnds() throws {
    // An exemption of somebody else's that ends must not cost this session its plans.
    try shop.admin.query("SELECT warden.exempt('{role:clerk}', '{shop.customers.email}', now() + interval '1 hour')")
    let session = try prepared("analyst")
    for _ in 1...5 { try session.query("EXECUTE by (1)") }
    let plans = "SELECT generic_plans FROM pg_prepared_statements WHERE name = 'by'"
    #expect(try session.query(plans).value == "5")
    try expect(session, raw: false, "kept")
  }
}
