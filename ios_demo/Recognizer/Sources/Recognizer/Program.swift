/// A loaded model: the seam to Core ML, which exists on a device alone.
///
/// `Value` is whatever the runtime calls a tensor. Nobody here looks into a state: an output goes into the
/// next call as it came, so that it does not matter how the runtime lays it out.
public protocol Program: AnyObject {
    associatedtype Value

    /// What executes, as a report says it: coreml.
    var name: String { get }

    /// Lets `fill` write the next frame's picture.
    func picture(_ fill: (BgraTarget) throws -> Void) throws

    /// A tensor of zeros.
    func zeros(_ tensor: TensorSpec) throws -> Value

    /// One call on the picture and these states, by their inputs' names; every output by its name.
    ///
    /// Throws `ProgramError` when it fails.
    func run(_ states: [String: Value]) throws -> [String: Value]

    /// Reads as many values as `into` has.
    func read(_ value: Value, into: inout [Float]) throws
}

/// A stream through a program: the picture in, the logits out, the state carried from call to call.
/// Not safe for several threads.
public final class StreamSession<P: Program> {
    public let program: P
    /// Of the latest call, in the order of the labels.
    public private(set) var logits: [Float]

    private let manifest: Manifest
    private let zeros: [String: P.Value]
    private var carried: [String: P.Value]

    public init(_ manifest: Manifest, _ program: P) throws {
        self.manifest = manifest
        self.program = program
        logits = [Float](repeating: 0, count: manifest.labels.count)
        var zeros: [String: P.Value] = [:]
        for state in manifest.state { zeros[state.input.name] = try program.zeros(state.input) }
        self.zeros = zeros
        carried = zeros
    }

    /// Back to before the first frame: every state is zeros.
    public func reset() { carried = zeros }

    /// One call on the picture that the program holds; fills `logits`.
    ///
    /// Throws `ProgramError` when the program fails or gives logits that are not finite. The state is then
    /// that of before the call.
    public func step() throws {
        let answer = try program.run(carried)
        guard let values = answer[manifest.outputs[0].name] else { throw lacking(manifest.outputs[0].name) }
        try program.read(values, into: &logits)
        guard logits.allSatisfy(\.isFinite) else {
            throw ProgramError(
                "\(program.name) gives logits that are not finite: choose another model or export it again")
        }
        var next: [String: P.Value] = [:]
        for state in manifest.state {
            guard let value = answer[state.output] else { throw lacking(state.output) }
            next[state.input.name] = value
        }
        carried = next
    }

    private func lacking(_ output: String) -> ProgramError {
        ProgramError("\(program.name) gives no \(output), which the manifest names: export the bundle again")
    }
}
