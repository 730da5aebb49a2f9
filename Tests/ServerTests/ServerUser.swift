import Foundation

/// Where this PostgreSQL keeps its things. PG_CONFIG chooses among several.
enum PgConfig {
  static let bindir = ask("--bindir")
  static let pkglibdir = ask("--pkglibdir")

  static func hasLibrary(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(pkglibdir)/\(name).so")
  }

  private static func ask(_ option: String) -> String {
    let command = ProcessInfo.processInfo.environment["PG_CONFIG"] ?? "pg_config"
    return (try? Command.run([command, option])) ?? "/no-such-directory"
  }
}

/// The operating system's user that server processes run as: they refuse to run as root.
enum ServerUser {
  static let switchUser =
    getuid() == 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"] : []

  @discardableResult
  static func run(_ command: [String]) throws -> String {
    try Command.run(switchUser + command)
  }

  /// Owned by the server's user. In /tmp, unless TMPDIR says otherwise: a socket's path has room for 107 bytes.
  static func makeDirectory() throws -> String {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    return try run(["mktemp", "-d", "\(parent)/pg_warden_test.XXXXXX"])
  }
}

/// Processes by posix_spawn. Foundation's Process waits for every descendant, a started server included.
enum Command {
  /// Runs to the end. Standard output, trimmed; throws with standard error when the command fails.
  static func run(_ command: [String]) throws -> String {
    let complaints = tmpfile()
    defer { fclose(complaints) }
    let output = closedInChildren(Pipe())
    let process = try spawn(
      command, input: FileHandle.nullDevice.fileDescriptor, output: output.fileHandleForWriting.fileDescriptor,
      error: fileno(complaints))
    try output.fileHandleForWriting.close()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    let status = wait(for: process)
    guard status == 0 else {
      throw HarnessError("\(command.joined(separator: " ")): status \(status)\n\(text(of: complaints))")
    }
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Starts in a session of its own, so that an interrupt at the terminal ends the tests and not their keepers.
  static func spawn(_ command: [String], input: Int32, output: Int32, error: Int32) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (target, descriptor) in [input, output, error].enumerated() {
      posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(target))
    }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var noSignals = sigset_t()
    sigemptyset(&noSignals)
    posix_spawnattr_setsigmask(&attributes, &noSignals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

    // In "/", because the current folder may be closed to the server's user.
    let arguments = CStrings(["env", "--chdir=/", "setsid"] + command)
    let environment = CStrings(Self.environment)
    var process: pid_t = 0
    let status = posix_spawn(
      &process, "/usr/bin/env", &actions, &attributes, arguments.mutablePointer, environment.mutablePointer)
    guard status == 0 else { throw HarnessError("\(command[0]): \(String(cString: strerror(status)))") }
    return process
  }

  /// A child that inherits the writing end keeps its reader waiting.
  static func closedInChildren(_ pipe: Pipe) -> Pipe {
    _ = fcntl(pipe.fileHandleForReading.fileDescriptor, F_SETFD, FD_CLOEXEC)
    _ = fcntl(pipe.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
    return pipe
  }

  @discardableResult
  static func wait(for process: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(process, &status, 0) == -1 && errno == EINTR {}
    return status
  }

  /// PGOPTIONS, PGSERVICE and the like are about other servers.
  private static let environment =
    ProcessInfo.processInfo.environment
    .filter { !$0.key.hasPrefix("PG") }
    .merging(["LC_ALL": "C", "TZ": "UTC"]) { $1 }
    .map { "\($0.key)=\($0.value)" }

  private static func text(of file: UnsafeMutablePointer<FILE>?) -> String {
    guard let file else { return "" }
    rewind(file)
    return String(decoding: FileHandle(fileDescriptor: fileno(file)).readDataToEndOfFile(), as: UTF8.self)
  }
}

/// An array of C strings that ends with a null pointer, freed with the object.
final class CStrings {
  let mutablePointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  /// The same as libpq wants it.
  var pointer: UnsafePointer<UnsafePointer<CChar>?> {
    UnsafeRawPointer(mutablePointer).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
  }

  init(_ texts: [String?]) {
    count = texts.count
    mutablePointer = .allocate(capacity: count + 1)
    for (index, text) in texts.enumerated() {
      (mutablePointer + index).initialize(to: text.flatMap { strdup($0) })
    }
    (mutablePointer + count).initialize(to: nil)
  }

  deinit {
    for index in 0..<count { free(mutablePointer[index]) }
    mutablePointer.deallocate()
  }
}
