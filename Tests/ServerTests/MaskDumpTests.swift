import Testing

extension ServerTests {
  /// pg_dump as a masked subject gives a masked copy that restores into any database; as a superuser, all as it is.
  @Suite struct MaskDumpTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "dumps")
    }
    private nonisolated(unsafe) static var restored = 0
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
      // Keys of real values, in two tables: their masks have to agree.
      try shop.connect("shop_owner").query(
        """
        CREATE TABLE shop.accounts (iban text PRIMARY KEY, holder int);
        CREATE TABLE shop.payments (id int PRIMARY KEY, iban text REFERENCES shop.accounts, amount numeric);
        INSERT INTO shop.accounts SELECT 'RAWMARK' || i, i FROM generate_series(1, 50) i;
        INSERT INTO shop.payments SELECT i, 'RAWMARK' || 1 + i % 50, i FROM generate_series(1, 200) i;
        GRANT SELECT ON ALL TABLES IN SCHEMA shop TO analyst
        """)
      try shop.admin.query(
        "SELECT warden.mask('shop.accounts.iban', 'hash'), warden.mask('shop.payments.iban', 'hash')")
    }

    private func dump(_ role: String, _ options: [String]) throws -> String {
      try ServerUser.run(
        [
          "\(PgConfig.bindir)/pg_dump", "--host=\(shop.cluster.socketDirectory)", "--username=\(role)", "--schema=shop",
          "--no-owner", "--no-privileges",
        ] + options + [shop.database])
    }

    /// Into a database without pg_warden; a session there, once nothing complained.
    private func restore(_ how: String) throws -> Connection {
      Self.restored += 1
      let database = "plain_\(Self.restored)"
      try shop.cluster.connect().query("CREATE DATABASE \(database) TEMPLATE template0")
      let place = "-h \(shop.cluster.socketDirectory) -U postgres -d \(database)"
      let complaints = try ServerUser.run([
        "sh", "-c", "\(PgConfig.bindir)/\(how.replacing("PLACE", with: place)) 2>&1",
      ])
      #expect(complaints.isEmpty, "\(complaints)")
      return try shop.cluster.connect(database: database)
    }

    private func file(_ name: String, _ text: String) throws -> String {
      let file = shop.cluster.path(name)
      try ServerUser.run(["sh", "-c", "cat > \(file) <<'the end'\n\(text)\nthe end"])
      return file
    }

    private static let psql = "psql -XqAt -o /dev/null -v ON_ERROR_STOP=1 PLACE -f"

    /// Rows are there, masked; keys agree, or the foreign key would not have been made.
    private func expectMasked(_ copy: Connection) throws {
      #expect(try copy.query("SELECT DISTINCT email FROM shop.events").rows == [[Shop.maskedEmail]])
      #expect(try copy.query("SELECT count(*) FROM shop.accounts JOIN shop.payments USING (iban)").value == "200")
      #expect(try copy.query("SELECT count(DISTINCT iban) FROM shop.accounts").value == "50")
      #expect(try copy.query("SELECT sum(total) FROM shop.orders").value == "100")
      let all = try ["accounts", "payments", "events", "orders"].map {
        try copy.query("SELECT t::text FROM shop.\($0) t").text
      }
      #expect(!all.joined().contains(Shop.mark))
      let keys = try copy.query("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated").value
      #expect(keys == "1")
    }

    /// A unique column of masked values that are all the same could not be restored, and is left out.
    private static let tables = ["accounts", "payments", "events", "events_*", "orders"].map { "--table=shop.\($0)" }

    @Test(arguments: [
      [], ["--inserts"], ["--column-inserts"], ["--rows-per-insert=7"], ["--inserts", "--on-conflict-do-nothing"],
      ["--quote-all-identifiers"],
    ])
    func textOfAMaskedSubjectIsMaskedAndRestores(_ options: [String]) throws {
      let whole = try dump("analyst", options)
      #expect(!whole.contains(Shop.mark) && whole.contains(Shop.maskedEmail))
      // The key of orders refers to customers.
      try shop.connect("shop_owner").query("ALTER TABLE shop.orders DROP CONSTRAINT orders_customer_id_fkey")
      let some = try dump("analyst", options + Self.tables)
      let copy = try restore("\(Self.psql) \(file("masked.sql", "CREATE SCHEMA IF NOT EXISTS shop;\n" + some))")
      try expectMasked(copy)
    }

    @Test(arguments: ["custom", "directory"]) func archivesAreMaskedAndRestore(_ format: String) throws {
      try shop.connect("shop_owner").query("ALTER TABLE shop.orders DROP CONSTRAINT orders_customer_id_fkey")
      let archive = shop.cluster.path("archive_\(format)")
      // Of jobs, each has its own session, with the snapshot of the first.
      let jobs = format == "directory" ? ["--jobs=2"] : []
      _ = try dump("analyst", ["--format=\(format)", "--file=\(archive)"] + jobs + Self.tables)
      let contents = try ServerUser.run(["\(PgConfig.bindir)/pg_restore", "--file=-", "--data-only", archive])
      #expect(!contents.contains(Shop.mark) && contents.contains(Shop.maskedEmail))
      let schema = try file("schema.sql", "CREATE SCHEMA shop;")
      let steps = "\(Self.psql) \(schema) && \(PgConfig.bindir)/pg_restore -e PLACE --jobs=2 \(archive)"
      try expectMasked(try restore(steps))
    }

    @Test(arguments: [[], ["--inserts"]]) func superusersDumpIsRawAndWhole(_ options: [String]) throws {
      let copy = try restore("\(Self.psql) \(file("raw.sql", dump("postgres", options)))")
      for table in ["customers", "orders", "events", "parcels", "accounts", "payments"] {
        let sql = "SELECT t::text FROM shop.\(table) t ORDER BY 1"
        #expect(try copy.query(sql).rows == shop.admin.query(sql).rows, "\(table)")
      }
      #expect(try copy.query("SELECT count(*) FROM shop.customers WHERE email LIKE '%RAWMARK%'").value == "3")
    }

    /// pg_dump sets row_security off: with policies in force it is an error rather than a part.
    @Test func rowSecurityIsNotPassedBy() throws {
      try shop.connect("shop_owner").query(
        "ALTER TABLE shop.accounts ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON shop.accounts USING (holder < 3)")
      #expect(throws: HarnessError.self) { try dump("analyst", ["--table=shop.accounts"]) }
      let part = try dump("analyst", ["--table=shop.accounts", "--enable-row-security", "--data-only"])
      #expect(part.split(separator: "\n").filter { $0.hasSuffix("\t1") || $0.hasSuffix("\t2") }.count == 2)
      #expect(!part.contains(Shop.mark) && !part.contains("\t3\n"))
    }
  }
}
