/// The hash chain recomputed by SQL from what docs/audit-format.md says, with nothing of pg_warden but its tables.
enum IndependentVerifier {
  /// Selects the numbers of all records whose hash is not what the page says it must be.
  static let wrongRecords = """
    \(chain) SELECT seq FROM chain WHERE hash IS DISTINCT FROM sha256(before || canonical) ORDER BY seq
    """

  /// Gives every record from `seq` on the hash that fits, and audit_chain the head: what a forger would do.
  static func rewrite(from seq: String) -> String {
    """
    DO $$
    DECLARE
      link record;
      head bytea := coalesce((SELECT hash FROM warden.audit_record WHERE seq = \(seq) - 1), decode(repeat('00', 32), 'hex'));
    BEGIN
      FOR link IN \(chain) SELECT seq, canonical FROM chain WHERE seq >= \(seq) ORDER BY seq LOOP
        head := sha256(head || link.canonical);
        UPDATE warden.audit_record SET hash = head WHERE seq = link.seq;
      END LOOP;
      UPDATE warden.audit_chain SET head = (SELECT hash FROM warden.audit_record ORDER BY seq DESC LIMIT 1);
    END$$
    """
  }

  /// The digest that a changed context or shape would have.
  static let contextDigest = digest("0263", contextTexts)
  static let shapeDigest =
    "sha256('\\x0273'::bytea || \(["class", "command", "decision", "\"guard\""].map(text).joined(separator: " || "))"
    + " || \(optional("statement_hash")) || \(text("access")) || \(text("statement")))"

  private static let contextTexts = [
    "database_name", "session_user_name", "role_name", "identity", "agent", "application_name", "client_addr",
    "environment", "intent", "ticket", "run",
  ]

  private static let chain = """
    WITH context AS (SELECT id, \(contextDigest) AS digest FROM warden.audit_context),
         shape AS (SELECT id, \(shapeDigest) AS digest FROM warden.audit_shape),
         chain AS (
           SELECT r.seq, r.hash,
                  lag(r.hash, 1, decode(repeat('00', 32), 'hex')) OVER (ORDER BY r.seq) AS before,
                  '\\x0272'::bytea || \(canonical) AS canonical
             FROM warden.audit_record r
             LEFT JOIN context ON context.id = r.context LEFT JOIN shape ON shape.id = r.shape)
    """

  private static let canonical = [
    number("r.seq"), "timestamptz_send(r.at)", number("r.session"), number("r.statement_no"),
    number("r.transaction::bigint & 4294967295"), measure("r.rows"), measure("r.bytes"), measure("r.duration"),
    "charsend(r.event)", "coalesce(charsend(r.outcome), '\\x00')",
    "coalesce(context.digest, decode(repeat('00', 32), 'hex'))",
    "coalesce(shape.digest, decode(repeat('00', 32), 'hex'))",
    optional("r.parent_no"), optional("r.last_statement_no"), optional("r.request_id"), optional("r.statement_hash"),
    text("r.sqlstate"), text("r.error"), text("r.statement"), text("r.access"), text("r.parameters"),
  ].joined(separator: " || ")

  private static func number(_ column: String) -> String { "int8send(coalesce(\(column), 0))" }
  private static func measure(_ column: String) -> String { "int8send(coalesce(\(column), -1))" }
  private static func optional(_ column: String) -> String {
    "coalesce('\\x01'::bytea || int8send(\(column)), '\\x00')"
  }
  private static func text(_ column: String) -> String {
    "coalesce('\\x01'::bytea || int4send(octet_length(\(column))) || convert_to(\(column), getdatabaseencoding()), '\\x00')"
  }
  private static func digest(_ head: String, _ texts: [String]) -> String {
    "sha256('\\x\(head)'::bytea || \(texts.map(text).joined(separator: " || ")))"
  }
}
