import CoreML
import Recognizer

/// Where Core ML means to run the operations of a compiled model; nil before iOS 17.4, which cannot tell,
/// and where Core ML gives no plan.
func anticipatedPlacement(_ compiled: URL, _ units: ComputeUnits) async -> PlacementFacts? {
    guard #available(iOS 17.4, *) else { return nil }
    let configuration = MLModelConfiguration()
    configuration.computeUnits = units.coreML
    guard let plan = try? await MLComputePlan.load(contentsOf: compiled, configuration: configuration),
        case .program(let program) = plan.modelStructure, let main = program.functions["main"]
    else { return nil }
    var counts = (neuralEngine: 0, gpu: 0, cpu: 0)
    for operation in main.block.operations {
        switch plan.deviceUsage(for: operation)?.preferred {
        case .neuralEngine: counts.neuralEngine += 1
        case .gpu: counts.gpu += 1
        case .cpu: counts.cpu += 1
        default: break  // constants have no device
        }
    }
    return PlacementFacts(neuralEngine: counts.neuralEngine, gpu: counts.gpu, cpu: counts.cpu)
}
