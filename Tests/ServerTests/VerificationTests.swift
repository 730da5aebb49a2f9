import Testing

extension ServerTests {
  /// Who has the files can alter the audit; verify_audit names the first record that is not what it was.
  @Suite struct VerificationTests {
    /// A trail with a digest of it, kept as files of a stopped server: each test starts from there.
    private struct Prepared {
      let shop: Shop
      let digest: String
      /// A record in the middle, a later one, the last.
      let middle: Int
      let later: Int
      let context: Int
      let last: Int
    }

    private nonisolated(unsafe) static let prepared = Result { try prepare() }
    private let prepared: Prepared
    private var shop: Shop { prepared.shop }

    init() throws { prepared = try Self.prepared.get() }

    private static func prepare() throws -> Prepared {
      let shop = try Shop(Cluster([Clusters.preload]), database: "evidence")
      try shop.refill()
      let owner = try shop.connect("shop_owner")
      try owner.query("SELECT total FROM shop.orders WHERE id = 1")
      try owner.query("SELECT total FROM shop.orders WHERE id = 2")
      for _ in 0..<3 { try owner.query("SELECT weight FROM shop.parcels") }
      try shop.connect("analyst").query("SELECT city FROM shop.customers")
      let middle = try shop.record(of: "WHERE id = 1")["seq"]
      let later = try shop.record(of: "SELECT city")["seq"]
      let last = try shop.admin.query("SELECT warden.flush()").value
      // Contexts are shared: the first record of one is named.
      let context = try shop.admin.query(
        "SELECT min(a.seq) FROM warden.audit_record a JOIN warden.audit_record b USING (context) WHERE b.seq = \(later ?? "0")"
      ).value
      let digest = try shop.admin.query("SELECT warden.audit_digest()").value
      // What an orderly stop writes after that, the ends of sessions, would follow the tampering.
      try shop.cluster.shutDown(.immediate)
      try shop.cluster.save()
      return try Prepared(
        shop: shop, digest: #require(digest), middle: #require(Int(middle ?? "")), later: #require(Int(later ?? "")),
        context: #require(Int(context ?? "")), last: #require(Int(last ?? "")))
    }

    /// Runs the tampering while the server runs without pg_warden; gives back the verdict with it.
    private func verdict(
      after tampering: String, digest: String? = nil
    ) throws -> (ok: Bool, seq: Int?, problem: String) {
      let sql =
        tampering
        .replacingOccurrences(of: "MIDDLE", with: "\(prepared.middle)")
        .replacingOccurrences(of: "LATER", with: "\(prepared.later)")
        .replacingOccurrences(of: "LAST", with: "\(prepared.last)")
      try shop.cluster.revert()
      try shop.cluster.configure(["shared_preload_libraries = ''"])
      try shop.cluster.start()
      defer { try? shop.cluster.shutDown(.immediate) }
      try shop.connect().query(sql)
      try shop.cluster.shutDown()
      try shop.cluster.configure([Clusters.preload])
      try shop.cluster.start()
      try shop.reconnect()
      try shop.admin.query("SELECT warden.flush()")
      let row = try #require(
        try shop.admin.query("SELECT ok, first_bad_seq, problem FROM warden.verify_audit($1)", digest).rows.first)
      return (row[0] == "t", row[1].flatMap { Int($0) }, row[2] ?? "")
    }
  }
}

// MARK: - The chain as it is

extension ServerTests.VerificationTests {
  @Test func whatTheDocumentationSaysIsTrue() throws {
    let shop = try Shop(Clusters.governed(), database: "documented")
    try shop.refill()
    let owner = try shop.connect("shop_owner", options: "-c warden.ticket=T-1 -c warden.intent=té")
    try owner.query("SELECT count(*) FROM shop.orders; INSERT INTO shop.parcels VALUES (9, 9)")
    _ = owner.error("DELETE FROM shop.orders")
    _ = owner.error("INSERT INTO shop.parcels VALUES (1, 1)")
    try owner.query("SELECT total FROM shop.orders WHERE id = $1", "1")
    try owner.query("BEGIN; DELETE FROM shop.parcels WHERE id = 9")
    try shop.admin.query("SELECT warden.flush()")
    try owner.query("ROLLBACK")
    for number in 0..<4 { try owner.query("SELECT note, 'é€😀' FROM shop.orders WHERE id = 1 + \(number % 2)") }
    try shop.expectUnbrokenChain()
    #expect(try shop.admin.query(IndependentVerifier.wrongRecords).rows == [])
    #expect(Int(try shop.admin.query("SELECT count(*) FROM warden.audit_record").value ?? "") ?? 0 > 20)
  }

  @Test func wholeTrailIsFoundWhole() throws {
    let verdict = try verdict(after: "SELECT 1", digest: prepared.digest)
    #expect(verdict.ok && verdict.seq == nil && verdict.problem == "")
  }
}

// MARK: - Tampering

extension ServerTests.VerificationTests {
  /// What is done, which record is named, a word of what is said.
  static let tamperings: [(sql: String, named: String, says: String)] = [
    ("UPDATE warden.audit_record SET statement = 'SELECT nothing' WHERE seq = MIDDLE", "MIDDLE", "record was altered"),
    ("UPDATE warden.audit_record SET rows = 4711 WHERE seq = MIDDLE", "MIDDLE", "record was altered"),
    ("UPDATE warden.audit_record SET at = at + interval '1 us' WHERE seq = MIDDLE", "MIDDLE", "record was altered"),
    ("UPDATE warden.audit_record SET parent_no = 0 WHERE seq = MIDDLE", "MIDDLE", "never written"),
    ("UPDATE warden.audit_record SET context = 1, shape = 1 WHERE seq = LATER", "LATER", "record was altered"),
    (
      "UPDATE warden.audit_record SET hash = sha256('x') WHERE seq = MIDDLE", "MIDDLE", "hash of the record was altered"
    ),
    (
      "ALTER TABLE warden.audit_record ALTER context DROP NOT NULL; "
        + "UPDATE warden.audit_record SET context = NULL WHERE seq = MIDDLE", "MIDDLE", "never written"
    ),
    ("UPDATE warden.audit_record SET hash = '' WHERE seq = MIDDLE", "MIDDLE", "hash of the record was altered"),
    (
      "UPDATE warden.audit_record SET seq = MIDDLE + LATER - seq WHERE seq IN (MIDDLE, LATER)", "MIDDLE",
      "replaced or reordered"
    ),
    ("DELETE FROM warden.audit_record WHERE seq = MIDDLE", "MIDDLE", "is missing"),
    ("DELETE FROM warden.audit_record WHERE seq BETWEEN MIDDLE AND LATER", "MIDDLE", "is missing, and so are those"),
    ("DELETE FROM warden.audit_record WHERE seq = 1", "1", "is missing"),
    ("DELETE FROM warden.audit_record WHERE seq = LAST", "LAST", "is missing"),
    ("INSERT INTO warden.audit_record SELECT * FROM warden.audit_record WHERE seq = MIDDLE", "MIDDLE", "twice"),
    (
      "UPDATE warden.audit_context SET role_name = 'nobody' WHERE id = (SELECT context FROM warden.audit_record WHERE seq = LATER)",
      "CONTEXT", "row of warden.audit_context that the record refers to was altered"
    ),
    (
      "DELETE FROM warden.audit_context WHERE id = (SELECT context FROM warden.audit_record WHERE seq = LATER)",
      // its number may have been given again when the verdict is asked for
      "CONTEXT", "refers to"
    ),
  ]

  @Test(arguments: tamperings) func firstBadRecordIsNamed(
    _ sql: String, _ named: String, _ says: String
  ) throws {
    let verdict = try verdict(after: sql)
    let numbers = [
      "MIDDLE": prepared.middle, "LATER": prepared.later, "LAST": prepared.last, "CONTEXT": prepared.context,
    ]
    #expect(!verdict.ok && verdict.seq == numbers[named] ?? Int(named), "\(verdict)")
    #expect(verdict.problem.contains(says), "\(verdict)")
  }

  /// Shapes are shared: the first record of a shape is named.
  @Test(arguments: [
    (
      "UPDATE warden.audit_shape SET \"guard\" = 'g' WHERE id = (SELECT shape FROM warden.audit_record WHERE seq = MIDDLE)",
      "row of warden.audit_shape"
    ),
    (
      """
      UPDATE warden.audit_shape SET "guard" = 'g' WHERE id = (SELECT shape FROM warden.audit_record WHERE seq = MIDDLE);
      UPDATE warden.audit_shape SET digest = \(IndependentVerifier.shapeDigest)
      """, "was altered"
    ),
    ("DELETE FROM warden.audit_shape WHERE id = (SELECT shape FROM warden.audit_record WHERE seq = MIDDLE)", "is gone"),
  ]) func changedShapeIsFound(_ sql: String, _ says: String) throws {
    let verdict = try verdict(after: sql)
    #expect(!verdict.ok && verdict.problem.contains(says), "\(verdict)")
    #expect(verdict.seq ?? 0 > 0 && verdict.seq ?? 0 <= prepared.middle)
  }

  /// What has other columns is neither read nor written, rather than taken for what it was.
  @Test func otherColumnsAreRefused() throws {
    #expect(
      throws: (any Error).self, "audit_context of the audit has other columns",
      performing: { _ = try verdict(after: "ALTER TABLE warden.audit_context ALTER digest TYPE int USING id") })
    try shop.cluster.start()
    defer { try? shop.cluster.shutDown(.immediate) }
    try shop.reconnect()
    #expect(shop.admin.error("SELECT * FROM warden.verify_audit()")?.message.contains("has other columns") == true)
    #expect(try shop.admin.query("SELECT 1").value == "1")
  }

  /// The server goes on from what audit_chain says, so that the next record does not fit, or is there twice.
  @Test(arguments: [
    ("head = sha256('x')", 1),
    ("last_seq = last_seq - 1, head = (SELECT hash FROM warden.audit_record WHERE seq = LAST - 1)", 0),
    ("records = records - 1", -1),
  ]) func changedChainIsFound(_ change: String, _ offset: Int) throws {
    let verdict = try verdict(after: "UPDATE warden.audit_chain SET \(change)")
    #expect(!verdict.ok && !verdict.problem.isEmpty, "\(verdict)")
    if offset >= 0 { #expect(verdict.seq == prepared.last + offset, "\(verdict)") }
  }

  @Test func truncatedEndIsFoundByADigestKeptOutside() throws {
    let truncation = """
      DELETE FROM warden.audit_record WHERE seq > MIDDLE;
      UPDATE warden.audit_chain SET last_seq = MIDDLE, records = MIDDLE,
             head = (SELECT hash FROM warden.audit_record WHERE seq = MIDDLE)
      """
    #expect(try verdict(after: truncation, digest: prepared.digest).ok == false)
  }

  /// The forger knows the format and recomputes every hash: only what is kept elsewhere tells.
  @Test func rewrittenChainIsFoundByADigestKeptOutside() throws {
    let forgery =
      "UPDATE warden.audit_record SET rows = 4711 WHERE seq = MIDDLE;" + IndependentVerifier.rewrite(from: "MIDDLE")
    #expect(try verdict(after: forgery).ok, "every hash is right")
    let verdict = try verdict(after: forgery, digest: prepared.digest)
    #expect(!verdict.ok && verdict.seq == prepared.last && verdict.problem.contains("rewritten"), "\(verdict)")
  }
}

// MARK: - Digests

extension ServerTests.VerificationTests {
  @Test func digestOfAnEarlierStateHolds() throws {
    let shop = try Shop(Clusters.governed(), database: "growing")
    try shop.refill()
    var digests: [String] = []
    for number in 0..<3 {
      try shop.connect("shop_owner").query("SELECT \(number) FROM shop.orders")
      try shop.admin.query("SELECT warden.flush()")
      digests.append(try #require(try shop.admin.query("SELECT warden.audit_digest()").value))
    }
    #expect(Set(digests).count == 3)
    for digest in digests {
      #expect(digest.hasPrefix("pg_warden-audit-digest:1 chain=") && digest.contains(" last_seq="))
      let verdict = try shop.admin.query("SELECT ok, problem FROM warden.verify_audit($1)", digest)
      #expect(verdict.rows == [["t", nil]])
    }
    // One figure of it changed.
    let forged = digests[0].replacingOccurrences(of: " to=20", with: " to=19")
    #expect(
      try shop.admin.query("SELECT problem FROM warden.verify_audit($1)", forged).value?.contains("digest") == true)
  }

  @Test func digestOfAnotherDatabaseIsToldFromThis() throws {
    let one = try Shop(Clusters.governed(), database: "one_chain")
    let other = try Shop(Clusters.governed(), database: "other_chain")
    let digest = try one.admin.query("SELECT warden.audit_digest()").value
    let verdict = try other.admin.query("SELECT ok, first_bad_seq, problem FROM warden.verify_audit($1)", digest)
    #expect(verdict.rows.first?.first == "f" && verdict.text.contains("another database"), "\(verdict.text)")
  }

  @Test(arguments: ["", "x", "1:2:3", "pg_warden-audit-digest:1 chain=x", "pg_warden-audit-digest:1 chain= cluster=1"])
  func whatIsNoDigestIsRefused(_ text: String) throws {
    let shop = try Shop(Clusters.governed(), database: "no_digest_\(text.utf8.count)")
    let error = shop.admin.error("SELECT * FROM warden.verify_audit('\(text)')")
    #expect(error?.sqlstate == "22023" && error?.message.contains("expected_digest") == true)
    #expect(error?.hint.contains("last_seq=") == true)
  }
}
