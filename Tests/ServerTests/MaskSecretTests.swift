import Testing

extension ServerTests {
  /// The secret of keyed masks: nobody reads it, superusers and break-glass included; another one makes other tokens.
  @Suite struct MaskSecretTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "secrets")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }
  }
}

extension ServerTests.MaskSecretTests {
  static let roads = [
    "TABLE warden.secret_policy",
    "SELECT secret FROM ONLY warden.secret_policy",
    "SELECT ctid, made_at FROM warden.secret_policy",
    "SELECT count(*) FROM warden.secret_policy",
    "COPY warden.secret_policy TO STDOUT",
    "COPY (SELECT secret FROM warden.secret_policy) TO STDOUT",
    "DECLARE c CURSOR FOR TABLE warden.secret_policy",
    "WITH s AS MATERIALIZED (TABLE warden.secret_policy) SELECT * FROM s",
    "PREPARE p AS TABLE warden.secret_policy; EXECUTE p",
    "CREATE TABLE lab.copy AS TABLE warden.secret_policy",
    "CREATE MATERIALIZED VIEW lab.copy AS TABLE warden.secret_policy",
    "SELECT s INTO lab.copy FROM warden.secret_policy s",
    "CREATE VIEW lab.v AS TABLE warden.secret_policy; TABLE lab.v",
    "SELECT * FROM warden.secret_policy FOR UPDATE",
    "DO $$DECLARE s bytea; BEGIN SELECT secret INTO s FROM warden.secret_policy; RAISE '%', s; END$$",
    "CREATE FUNCTION lab.f() RETURNS bytea LANGUAGE sql AS 'SELECT secret FROM warden.secret_policy'; SELECT lab.f()",
    "SELECT table_to_xml('warden.secret_policy', true, false, '')",
    "SELECT query_to_xml('TABLE warden.secret_policy', true, true, '')",
    "EXPLAIN ANALYZE TABLE warden.secret_policy",
    "UPDATE warden.secret_policy SET made_at = now() RETURNING secret",
    "DELETE FROM warden.secret_policy RETURNING secret",
    "INSERT INTO warden.secret_policy VALUES ('x', now()) RETURNING 1",
    "TRUNCATE warden.secret_policy",
    "CREATE INDEX ON warden.secret_policy (secret)",
    "ALTER TABLE warden.secret_policy ADD c text GENERATED ALWAYS AS (secret::text) STORED",
    """
    CREATE TRIGGER t BEFORE DELETE ON warden.secret_policy FOR EACH ROW EXECUTE FUNCTION \
    suppress_redundant_updates_trigger()
    """,
    "ALTER TABLE warden.secret_policy ALTER secret SET STATISTICS 100",
    "ALTER TABLE warden.secret_policy REPLICA IDENTITY FULL",
    "MERGE INTO lab.copied c USING warden.secret_policy s ON true WHEN NOT MATCHED THEN INSERT VALUES (s.secret)",
    "CREATE RULE r AS ON INSERT TO warden.secret_policy DO INSTEAD NOTHING",
    "DROP TABLE warden.secret_policy",
  ]

  @Test(arguments: roads) func nobodyReadsIt(_ sql: String) throws {
    try shop.admin.query("CREATE TABLE lab.copied (s bytea)")
    for prepare in ["SELECT 1", "SELECT warden.break_glass('test')"] {
      let superuser = try shop.connect()
      try superuser.query(prepare)
      let error = superuser.error("BEGIN; \(sql)")
      #expect(error?.sqlstate == "42501", "\(sql): \(error?.text ?? "no error")")
      #expect(error?.detail.contains("the secret of keyed masks is shown to nobody") == true, "\(error?.text ?? "")")
    }
    #expect(try shop.admin.query("SELECT count(*) FROM lab.copied").value == "0")
  }

  @Test func itIsNotInStatistics() throws {
    try shop.admin.query("ANALYZE warden.secret_policy")
    let shown = try shop.admin.query(
      "SELECT count(*) FROM pg_stats WHERE tablename = 'secret_policy' AND attname = 'secret'")
    #expect(shown.value == "0")
  }

  /// Whoever creates the extension is not governed before the commit: nothing is there until then.
  @Test func itIsMadeAtCommit() throws {
    try shop.cluster.connect().query("CREATE DATABASE secrets_at_commit")
    let creator = try shop.cluster.connect(database: "secrets_at_commit")
    try creator.query("BEGIN; CREATE EXTENSION pg_warden")
    #expect(try creator.query("SELECT count(*) FROM warden.secret_policy").value == "0")
    try creator.query("COMMIT; CREATE TABLE t (v text); INSERT INTO t VALUES ('a'); GRANT SELECT ON t TO analyst")
    try creator.query("SELECT warden.mask('public.t.v', 'hash')")
    let analyst = try shop.cluster.connect(role: "analyst", database: "secrets_at_commit")
    #expect(try analyst.query("SELECT v FROM t").value?.count == 16)
  }

  @Test func anotherSecretMakesOtherTokens() throws {
    try shop.admin.query(
      "SELECT warden.mask('shop.customers.email', 'hash'), warden.mask('shop.customers.age', 'noise')")
    let analyst = try shop.connect("analyst")
    let other = try shop.connect("analyst")
    try analyst.query("PREPARE p AS SELECT email FROM shop.customers ORDER BY id LIMIT 1")
    let before = try analyst.query("EXECUTE p").value
    #expect(try other.query("SELECT email FROM shop.customers ORDER BY id LIMIT 1").value == before)
    try shop.admin.query("BEGIN; SELECT warden.rotate_secret(); ROLLBACK")
    #expect(try analyst.query("EXECUTE p").value == before)
    try shop.admin.query("SELECT warden.rotate_secret()")
    let after = try analyst.query("EXECUTE p").value
    #expect(after != before && after?.count == 16)
    #expect(try other.query("SELECT email FROM shop.customers ORDER BY id LIMIT 1").value == after)
    let recorded = try shop.admin.query(
      "SELECT warden.flush(); SELECT count(*) > 0 FROM warden.audit_log WHERE statement = 'rotate_secret'")
    #expect(recorded.value == "t")
  }

  @Test func onlyAdministratorsRotate() throws {
    #expect(try shop.connect("analyst").error("SELECT warden.rotate_secret()")?.sqlstate == "42501")
    #expect(try shop.connect("policy_admin").query("SELECT warden.rotate_secret()").rows.count == 1)
  }

  /// A masked subject cannot compute tokens of values that it guesses.
  @Test func tokensAreNotComputed() throws {
    try shop.admin.query("SELECT warden.mask('shop.customers.email', 'hash')")
    let analyst = try shop.connect("analyst")
    for call in [
      "mask_hash('a'::text, 16)", "mask_hash(1::int8, 64)", "mask_noise(1::int8, 1, 32)", "mask_hash(ARRAY['a'], 16)",
    ] {
      let error = analyst.error("SELECT warden.\(call)")
      #expect(error?.sqlstate == "42501", "\(call): \(error?.text ?? "")")
      #expect(error?.message.contains("cannot be called") == true)
    }
  }
}
