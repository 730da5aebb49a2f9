import Testing

extension ServerTests {
  /// Who sees real values, of what, and until when.
  @Suite struct ExemptionTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "exemptions")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }

    private static let read = "SELECT email FROM shop.customers WHERE id = 1"
    private static let raw = "annRAWMARK@raw.example"

    private func sees(_ role: String, application: String = "test") throws -> String? {
      try shop.connect(role, application: application).query(Self.read).value
    }
  }
}

extension ServerTests.ExemptionTests {
  static let targets = [
    ("*", true), ("shop.*", true), ("lab.*", false), ("shop.customers", true), ("shop.orders", false),
    ("shop.customers.email", true), ("shop.customers.name", false), ("label:pii.email", true), ("label:pii.*", true),
    ("label:secret.*", false),
  ]

  @Test(arguments: targets) func targetsAreWhatTheyName(_ target: String, _ isCovered: Bool) throws {
    try shop.admin.query("SELECT warden.label('shop.customers.email', 'pii.email')")
    try shop.admin.query("SELECT warden.exempt('{role:analyst}', ARRAY[$1])", target)
    #expect(try sees("analyst") == (isCovered ? Self.raw : Shop.maskedEmail))
  }

  /// Who is all of what is joined, and nobody who is less.
  @Test func joinedSubjects() throws {
    try shop.admin.query("GRANT SELECT ON shop.customers TO clerk, agents")
    try shop.admin.query("SELECT warden.exempt('{role:agents & role:analyst, role:clerk & application:help*}')")
    #expect(try sees("copilot") == Self.raw)
    #expect(try sees("analyst") == Shop.maskedEmail)
    #expect(try sees("agents") == Shop.maskedEmail)
    #expect(try sees("clerk", application: "helpdesk") == Self.raw)
    #expect(try sees("clerk") == Shop.maskedEmail)
    #expect(try sees("analyst", application: "helpdesk") == Shop.maskedEmail)
    // What the session claims counts as it claims it, at every statement.
    let clerk = try shop.connect("clerk", application: "helpdesk")
    try clerk.prepare("p", Self.read)
    #expect(try clerk.execute("p").value == Self.raw)
    try clerk.query("SET application_name = 'psql'")
    #expect(try clerk.query(Self.read).value == Shop.maskedEmail)
  }

  @Test func joinedSubjectsOfGuards() throws {
    try shop.admin.query(
      "SELECT warden.guard('no bulk', 'block', '{read}', '{shop.orders}', '{role:analyst & application:bulk*}')")
    let bulk = try shop.connect("analyst", application: "bulk loader")
    #expect(bulk.error("TABLE shop.orders")?.sqlstate == "42501")
    #expect(try shop.connect("analyst").query("TABLE shop.orders").rows.count == 4)
    #expect(try shop.connect("shop_owner", application: "bulk loader").query("TABLE shop.orders").rows.count == 4)
    #expect(
      try shop.admin.query("SELECT subjects FROM warden.guards WHERE name = 'no bulk'").value
        == "{\"role:analyst & application:bulk*\"}")
  }

  static let refused = [
    ("'{application:psql}'", "22023", "application:psql"), ("'{anonymous}'", "22023", "anonymous"),
    ("'{* & application:psql}'", "22023", "application:psql"), ("'{role:nobody_here}'", "42704", "role:nobody_here"),
    ("'{role:clerk & role:nobody_here}'", "42704", "role:nobody_here"), ("'{\"role:clerk & \"}'", "22023", "invalid"),
    ("'{}'", "22023", "subjects"), ("'{*}', '{}'", "22023", "targets"),
    ("'{*}', '{*}', now() - interval '1 second'", "22023", "until"), ("'{*}', '{*}', '-infinity'", "22023", "until"),
  ]

  @Test(arguments: refused) func badExemptionIsRefused(_ arguments: String, _ sqlstate: String, _ named: String) throws
  {
    let error = try #require(shop.admin.error("SELECT warden.exempt(\(arguments))"))
    #expect(error.sqlstate == sqlstate && error.message.contains(named) && !error.hint.isEmpty, "\(error.text)")
    #expect(try shop.admin.query("SELECT count(*) FROM warden.exemptions").value == "0")
  }

  /// A session that runs learns of an exemption, of its end and of its revocation at its next statement.
  @Test func sessionsUnderWayFollow() throws {
    let analyst = try shop.connect("analyst")
    try analyst.prepare("p", Self.read)
    func expect(_ value: String) throws {
      for _ in 1...6 { #expect(try analyst.execute("p").value == value) }
      #expect(try analyst.query(Self.read).value == value)
    }
    try expect(Shop.maskedEmail)
    let id = try shop.admin.query("SELECT warden.exempt('{role:analyst}', '{*}', 'infinity', 'audit of May')").value
    try expect(Self.raw)
    #expect(
      try shop.admin.query("SELECT reason, active, state FROM warden.exemptions").rows
        == [["audit of May", "t", "in force for good"]])
    #expect(try shop.admin.query("SELECT warden.revoke_exemption($1::bigint)", id).value == "t")
    try expect(Shop.maskedEmail)
    #expect(try shop.admin.query("SELECT warden.revoke_exemption($1::bigint)", id).value == "f")
    try shop.admin.query("SELECT warden.exempt('{role:analyst}', '{*}', clock_timestamp() + interval '1 second')")
    try expect(Self.raw)
    try analyst.query("SELECT pg_sleep(1.1)")
    try expect(Shop.maskedEmail)
    #expect(try shop.admin.query("SELECT active, state FROM warden.exemptions").rows == [["f", "expired"]])
    #expect(
      try shop.admin.query("SELECT exempt FROM warden.masks LIMIT 1").value == "{\"owner shop_owner\",superusers}")
  }

  @Test func rolesThatAreGoneAreNobody() throws {
    try shop.admin.query("CREATE ROLE gone_soon; GRANT gone_soon TO analyst")
    try shop.admin.query("SELECT warden.exempt('{role:gone_soon}')")
    #expect(try sees("analyst") == Self.raw)
    try shop.admin.query("DROP ROLE gone_soon")
    #expect(try sees("analyst") == Shop.maskedEmail)
    #expect(try shop.admin.query("SELECT state FROM warden.exemptions").value == "for nobody: its roles are gone")
  }
}
