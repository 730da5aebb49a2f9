import Testing

extension ServerTests {
  /// Masks by label: whatever carries the label is masked, however it came to carry it, and from when it does.
  @Suite struct LabelMaskTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "label_masks")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    /// `target method source label`, without the rules.
    private func masks() throws -> [String] {
      try shop.admin.query(
        """
        SELECT concat_ws(' ', target, method, source, label) FROM warden.masks WHERE relation IS NOT NULL ORDER BY 1
        """
      ).rows.map { $0[0] ?? "" }
    }

    private func seen(_ sql: String, by role: String = "analyst") throws -> [String?] {
      try shop.connect(role).query(sql).rows.first ?? []
    }
  }
}

// MARK: - What carries a label is masked

extension ServerTests.LabelMaskTests {
  /// By every door, since what a label comes to is a mask like any other.
  static let doors = [
    "SELECT email FROM shop.customers", "COPY shop.customers (email) TO STDOUT",
    "DECLARE c CURSOR FOR SELECT email FROM shop.customers; FETCH ALL c",
    "PREPARE p AS SELECT email FROM shop.customers; EXECUTE p", "SELECT shop.emails()", "SELECT email FROM shop.window",
  ]

  @Test(arguments: doors) func labelledColumnIsMasked(_ sql: String) throws {
    try shop.connect("shop_owner").query(
      """
      CREATE VIEW shop.window AS SELECT * FROM shop.customers; GRANT SELECT ON shop.window TO analyst;
      CREATE FUNCTION shop.emails() RETURNS SETOF text SECURITY DEFINER LANGUAGE sql
        AS 'SELECT email FROM shop.customers'
      """)
    try shop.admin.query("SELECT warden.label('shop.customers.email', 'pii.email')")
    let analyst = try shop.connect("analyst")
    func read() throws -> String {
      try analyst.query("BEGIN")
      defer { _ = try? analyst.query("ROLLBACK; DEALLOCATE ALL") }
      let result = try analyst.query(sql)
      return result.text + result.copied
    }
    #expect(try read().contains(Shop.mark))
    try shop.admin.query("SELECT warden.mask('label:pii.email', 'email')")
    var masked = try read()
    #expect(!masked.contains(Shop.mark) && masked.contains(Shop.maskedEmail))
    // Without its label, with the label again, and without the rule.
    try shop.admin.query("SELECT warden.unlabel('shop.customers.email')")
    #expect(try read().contains(Shop.mark))
    try shop.admin.query("SELECT warden.label('shop.customers.email', 'pii.email')")
    masked = try read()
    #expect(!masked.contains(Shop.mark) && masked.contains(Shop.maskedEmail))
    #expect(try shop.admin.query("SELECT warden.unmask('label:pii.email')").value == "t")
    #expect(try read().contains(Shop.mark))
    #expect(try shop.admin.query("SELECT warden.unmask('label:pii.email')").value == "f")
    #expect(try masks().isEmpty)
  }

  @Test func theMostSpecialRuleMasksAColumn() throws {
    try shop.admin.query(
      """
      SELECT warden.mask('label:*', 'null'); SELECT warden.mask('label:pii.*', 'redact');
      SELECT warden.label('shop.customers.email', 'pii.email'); SELECT warden.label('shop.customers.name', 'pii.name');
      SELECT warden.label('shop.customers.phone', 'contact')
      """)
    #expect(try seen("SELECT email, name, phone FROM shop.customers") == ["[redacted]", "[redacted]", nil])
    try shop.admin.query("SELECT warden.mask('label:pii.email', 'email')")
    #expect(try seen("SELECT email, name, phone FROM shop.customers") == [Shop.maskedEmail, "[redacted]", nil])
    #expect(
      try masks() == [
        "shop.customers.email email label pii.email", "shop.customers.name redact label pii.*",
        "shop.customers.phone null label *",
      ])
    // The rule again: replaced.
    try shop.admin.query("SELECT warden.mask('label:pii.email', 'partial', '{\"prefix\": 2}')")
    #expect(try seen("SELECT email FROM shop.customers WHERE id = 1") == ["an***"])
    try shop.admin.query("SELECT warden.unmask('label:pii.email'); SELECT warden.unmask('label:pii.*')")
    #expect(try seen("SELECT email, name, phone FROM shop.customers") == [nil, nil, nil])
  }

  @Test func ownMaskWinsOverTheLabels() throws {
    try shop.admin.query(
      """
      SELECT warden.mask('label:pii.*', 'redact'); SELECT warden.label('shop.customers.email', 'pii.email');
      SELECT warden.mask('shop.customers.email', 'email')
      """)
    #expect(try masks() == ["shop.customers.email email declared"])
    try shop.admin.query("SELECT warden.mask('label:pii.email', 'null')")
    #expect(try seen("SELECT email FROM shop.customers") == [Shop.maskedEmail])
    #expect(try shop.admin.query("SELECT warden.unmask('shop.customers.email')").value == "t")
    #expect(try seen("SELECT email FROM shop.customers") == [nil])
    #expect(try shop.admin.query("SELECT warden.unmask('shop.customers.email')").value == "f")
    #expect(try masks() == ["shop.customers.email null label pii.email"])
  }

  @Test func methodThatDoesNotFitIsRedacted() throws {
    try shop.admin.query(
      """
      SELECT warden.mask('label:pii.email', 'email'); SELECT warden.label('shop.customers.age', 'pii.email');
      CREATE DOMAIN shop.grown AS int CHECK (VALUE >= 18); ALTER TABLE shop.customers ADD years shop.grown DEFAULT 44;
      SELECT warden.label('shop.customers.years', 'pii.age'); SELECT warden.mask('label:pii.age', 'redact')
      """)
    let (age, years) = try (seen("SELECT age FROM shop.customers"), seen("SELECT years FROM shop.customers"))
    #expect(age == ["0"] && (years == [nil] || years == ["18"]))
    let rules = try shop.admin.query("SELECT target, method FROM warden.masks WHERE relation IS NULL ORDER BY 1").rows
    #expect(rules == [["label:pii.age", "redact"], ["label:pii.email", "email"]])
  }

  static let defaults = [
    ("pii.email", "email", "email"), ("secret.token", "phone", "redact"), ("pii.nothing_known", "name", "redact"),
    ("pii.email", "age", "redact"),
  ]

  @Test(arguments: defaults) func labelTellsTheMethod(_ label: String, _ column: String, _ method: String) throws {
    try shop.admin.query("SELECT warden.label('shop.customers.\(column)', $1)", label)
    try shop.admin.query("SELECT warden.mask('shop.customers.\(column)')")
    #expect(try masks() == ["shop.customers.\(column) \(method) declared"])
    try shop.admin.query("SELECT warden.unmask('shop.customers.\(column)'); SELECT warden.mask('label:\(label)')")
    #expect(try masks() == ["shop.customers.\(column) \(method) label \(label)"])
    #expect(!(try seen("SELECT \(column)::text FROM shop.customers").first??.contains(Shop.mark) ?? false))
  }

  static let refused = [
    ("'label:pii.email', 'hide'", "22023", "hide"), ("'label:PII'", "22023", "label:PII"),
    ("'label:'", "22023", "label:"), ("'label:pii.email', 'partial', '{\"prefx\": 1}'", "22023", "prefx"),
    ("'label:pii.email', 'expression', '{\"sql\": \"text\"}'", "22023", "expression"),
    ("'label:pii.email', 'email', NULL", "22023", "options"),
  ]

  @Test(arguments: refused) func badRuleIsRefused(_ arguments: String, _ sqlstate: String, _ named: String) throws {
    try shop.admin.query("SELECT warden.label('shop.customers.email', 'pii.email')")
    let error = try #require(shop.connect().error("SELECT warden.mask(\(arguments))"))
    #expect(error.sqlstate == sqlstate && error.message.contains(named) && !error.hint.isEmpty, "\(error.text)")
    #expect(try masks().isEmpty)
    #expect(try shop.admin.query("SELECT count(*) FROM warden.masks").value == "0")
  }

  @Test func rulesAreForPolicyAdmins() throws {
    #expect(try shop.connect("analyst").error("SELECT warden.mask('label:pii.email')")?.sqlstate == "42501")
    try shop.admin.query("SELECT warden.label('shop.customers.email', 'pii.email')")
    #expect(try shop.connect("policy_admin").error("SELECT warden.mask('label:pii.email')") == nil)
    #expect(try masks() == ["shop.customers.email email label pii.email"])
    #expect(try shop.connect("policy_admin").error("SELECT warden.mask('shop.customers.phone', 'email')") == nil)
    #expect(try shop.connect("analyst").error("SELECT warden.unmask('label:pii.email')")?.sqlstate == "42501")
    let direct = shop.admin.error("DELETE FROM warden.label_mask_policy")
    #expect(direct?.sqlstate == "42501" && direct?.detail.contains("self-protection") == true)
  }
}

// MARK: - Tables that change

extension ServerTests.LabelMaskTests {
  @Test func laterColumnsOfALabelledTable() throws {
    try shop.admin.query("SELECT warden.mask('label:pii', 'redact'); SELECT warden.label('shop.customers', 'pii')")
    try shop.connect("shop_owner").query(
      "ALTER TABLE shop.customers ADD nick text DEFAULT 'RAWMARK', ADD n int DEFAULT 9")
    #expect(try seen("SELECT nick, n FROM shop.customers") == ["[redacted]", "0"])
    #expect(try !shop.connect("analyst").query("TABLE shop.customers").text.contains(Shop.mark))
    try shop.connect("shop_owner").query("ALTER TABLE shop.customers RENAME nick TO alias")
    #expect(try seen("SELECT alias FROM shop.customers") == ["[redacted]"])
    try shop.admin.query("SELECT warden.unlabel('shop.customers')")
    #expect(try seen("SELECT alias FROM shop.customers") == ["RAWMARK"])
  }

  @Test func parentsAndChildrenAreMaskedThroughEachOther() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE TABLE shop.vip (perk text) INHERITS (shop.customers);
      INSERT INTO shop.vip VALUES (9, 'Ali RAWMARK', 'aliRAWMARK@raw.example', '+9', 49, 'Nice', 'RAWMARK perk');
      GRANT ALL ON shop.vip TO analyst
      """)
    try shop.admin.query(
      """
      SELECT warden.mask('label:pii.*', 'redact'); SELECT warden.label('shop.vip.email', 'pii.email');
      SELECT warden.label('shop.vip.perk', 'pii.perk')
      """)
    #expect(try masks() == ["shop.customers.email redact label pii.*", "shop.vip.perk redact label pii.*"])
    #expect(try seen("SELECT email, perk FROM shop.vip") == ["[redacted]", "[redacted]"])
    #expect(try seen("SELECT email FROM shop.customers WHERE id = 9") == ["[redacted]"])
    // The child leaves with its mask, and brings it along again.
    try owner.query("ALTER TABLE shop.vip NO INHERIT shop.customers")
    #expect(try masks() == ["shop.vip.email redact label pii.*", "shop.vip.perk redact label pii.*"])
    #expect(try seen("SELECT email, perk FROM shop.vip") == ["[redacted]", "[redacted]"])
    try owner.query("ALTER TABLE shop.vip INHERIT shop.customers")
    #expect(try masks() == ["shop.customers.email redact label pii.*", "shop.vip.perk redact label pii.*"])
    #expect(try seen("SELECT email FROM shop.customers WHERE id = 9") == ["[redacted]"])
    #expect(try seen("SELECT email FROM ONLY shop.vip") == ["[redacted]"])
  }

  @Test func partitionsAreMaskedThroughTheirParent() throws {
    try shop.admin.query(
      "SELECT warden.mask('label:pii.email', 'email'); SELECT warden.label('shop.events_january.email', 'pii.email')")
    #expect(try masks() == ["shop.events.email email label pii.email"])
    for table in ["events", "events_january", "events_february"] {
      let read = try shop.connect("analyst").query("SELECT email FROM shop.\(table)").text
      #expect(!read.contains(Shop.mark) && read.contains(Shop.maskedEmail), "\(table)")
    }
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.events DETACH PARTITION shop.events_january")
    #expect(try masks() == ["shop.events_january.email email label pii.email"])
    try owner.query(
      "ALTER TABLE shop.events ATTACH PARTITION shop.events_january FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
    #expect(try masks() == ["shop.events.email email label pii.email"])
    #expect(try seen("SELECT email FROM shop.events ORDER BY id") == [Shop.maskedEmail])
  }

  @Test func typeThatNoLongerFitsIsRedacted() throws {
    try shop.admin.query(
      """
      SELECT warden.mask('label:pii.email', 'email'); SELECT warden.label('shop.customers.phone', 'pii.email');
      SELECT warden.mask('shop.customers.name', 'email');
      SELECT warden.guard('migrate', 'allow', '{ddl}', priority => 9)
      """)
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.customers ALTER phone TYPE int USING 7, ALTER name TYPE int USING 8")
    #expect(try seen("SELECT phone, name FROM shop.customers") == ["0", "0"])
    try owner.query("ALTER TABLE shop.customers ALTER phone TYPE text USING 'bobRAWMARK@raw.example'")
    #expect(try seen("SELECT phone FROM shop.customers") == ["b***@***.example"])
  }
}

// MARK: - Columns that are dropped and added again

extension ServerTests.LabelMaskTests {
  /// How a column comes to be there again, under another number.
  static let again = [
    "ALTER TABLE shop.customers DROP email, ADD email text DEFAULT 'zoeRAWMARK@raw.example'",
    "ALTER TABLE shop.customers DROP email; ALTER TABLE shop.customers ADD email text DEFAULT 'zoeRAWMARK@raw.example'",
    """
    BEGIN; ALTER TABLE shop.customers ADD mail text DEFAULT 'zoeRAWMARK@raw.example';
    ALTER TABLE shop.customers DROP email; ALTER TABLE shop.customers RENAME mail TO email; COMMIT
    """,
  ]

  @Test(arguments: again, [false, true]) func maskHoldsForAColumnAddedAgain(_ migration: String, _ byLabel: Bool) throws
  {
    try shop.admin.query("SELECT warden.guard('migrate', 'allow', '{ddl}', priority => 9)")
    try shop.admin.query(
      byLabel
        ? "SELECT warden.mask('label:pii.*', 'email'); SELECT warden.label('shop.customers.email', 'pii.email')"
        : "SELECT warden.mask('shop.customers.email', 'email')")
    let analyst = try shop.connect("analyst")
    try analyst.query("PREPARE p AS SELECT phone FROM shop.customers")
    let owner = try shop.connect("shop_owner")
    for statement in migration.split(separator: ";") { try owner.query(String(statement)) }
    #expect(try seen("SELECT email FROM shop.customers") == ["z***@***.example"])
    #expect(try masks() == ["shop.customers.email email declared"])
    #expect(try analyst.query("EXECUTE p").value == "+1RAWMARK1")
    #expect(try shop.admin.query("SELECT warden.unmask('shop.customers.email')").value == "t")
    #expect(try seen("SELECT email FROM shop.customers") == ["zoeRAWMARK@raw.example"])
  }

  @Test func addedAgainWithAnotherType() throws {
    try shop.admin.query(
      "SELECT warden.guard('migrate', 'allow', '{ddl}', priority => 9); SELECT warden.mask('shop.customers.email', 'email')"
    )
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.customers DROP email")
    let kept = try shop.admin.query("SELECT target, method, view, expression FROM warden.masks").rows
    #expect(kept == [["shop.customers.email", "email", nil, nil]])
    #expect(try seen("SELECT phone FROM shop.customers") == ["+1RAWMARK1"])
    try owner.query("ALTER TABLE shop.customers ADD email int DEFAULT 77")
    #expect(try seen("SELECT email FROM shop.customers") == ["0"])
  }

  @Test func keptMaskIsTakenOff() throws {
    try shop.admin.query(
      "SELECT warden.guard('migrate', 'allow', '{ddl}', priority => 9); SELECT warden.mask('shop.customers.email', 'email')"
    )
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.customers DROP email")
    #expect(try shop.admin.query("SELECT warden.unmask('shop.customers.email')").value == "t")
    #expect(shop.admin.error("SELECT warden.unmask('shop.customers.email')")?.sqlstate == "42704")
    try owner.query("ALTER TABLE shop.customers ADD email text DEFAULT 'plain'")
    #expect(try seen("SELECT email FROM shop.customers") == ["plain"])
  }

  /// The mask goes with the column that is renamed, and what was kept for its new name gives way.
  @Test func renamedColumnTakesTheNameOver() throws {
    try shop.admin.query(
      """
      SELECT warden.guard('migrate', 'allow', '{ddl}', priority => 9);
      SELECT warden.mask('shop.customers.email', 'email'); SELECT warden.mask('shop.customers.phone', 'null')
      """)
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.customers DROP email")
    try owner.query("ALTER TABLE shop.customers RENAME phone TO email")
    #expect(try masks() == ["shop.customers.email null declared"])
    #expect(try seen("SELECT email FROM shop.customers") == [nil])
  }
}

// MARK: - What is told

extension ServerTests.LabelMaskTests {
  @Test func masksTellTheRuleTheViewAndWhoIsExempt() throws {
    try shop.admin.query(
      """
      SELECT warden.mask('label:pii.email', 'email'); SELECT warden.label('shop.customers.email', 'pii.email');
      SELECT warden.mask('shop.customers.phone', 'null');
      SELECT warden.exempt('{role:analyst, role:agents & application:desk}', '{label:pii.*}', '2099-01-01 00:00 UTC');
      SELECT warden.exempt('{role:clerk}', '{shop.customers.phone}')
      """)
    let rows = try shop.connect("auditor").query(
      "SET TimeZone = 'UTC'; SELECT target, source, label, view, exempt FROM warden.masks ORDER BY target"
    ).rows
    let ids = try shop.admin.query("SELECT id FROM warden.exemptions ORDER BY id").rows.map { $0[0] ?? "" }
    #expect(
      rows == [
        ["label:pii.email", "declared", "pii.email", nil, nil],
        [
          "shop.customers.email", "label", "pii.email", "warden_views.shop__customers",
          """
          {"owner shop_owner",superusers,"exemption \(ids[0]): role:analyst, role:agents & application:desk \
          until 2099-01-01 00:00:00+00"}
          """,
        ],
        [
          "shop.customers.phone", "declared", nil, "warden_views.shop__customers",
          "{\"owner shop_owner\",superusers,\"exemption \(ids[1]): role:clerk\"}",
        ],
      ])
    #expect(try shop.connect("analyst").error("TABLE warden.masks")?.sqlstate == "42501")
  }

  @Test func viewOfALongName() throws {
    let long = String(repeating: "long_name_", count: 6)
    try shop.admin.query("CREATE TABLE shop.\(long) (a text); INSERT INTO shop.\(long) VALUES ('RAWMARK')")
    try shop.admin.query("SELECT warden.mask('shop.\(long).a', 'redact')")
    let view = try #require(try shop.admin.query("SELECT view FROM warden.masks").value)
    #expect(try shop.admin.query("SELECT a FROM \(view)").value == "[redacted]")
  }
}
