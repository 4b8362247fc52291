# SPDX-License-Identifier: Apache-2.0
"""judge_sklearn.py IN.json OUT.json: answers each question of a list with scikit-learn, in the same order."""
import json
import sys
import warnings

import numpy as np
from scipy.stats import pearsonr
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")


def class_metrics(q):
    truth, p = np.array(q["truth"]), np.array(q["probabilities"]).reshape(len(q["truth"]), -1)
    predicted = p.argmax(1)
    one_class = len(set(q["truth"])) < 2
    if one_class:
        auc = None
    elif p.shape[1] == 2:
        auc = metrics.roc_auc_score(truth, p[:, 1])
    else:
        areas = [metrics.roc_auc_score(truth == c, p[:, c]) for c in range(p.shape[1]) if (truth == c).any()]
        auc = float(np.mean(areas))
    return {"accuracy": metrics.accuracy_score(truth, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
            "macro_f1": metrics.f1_score(truth, predicted, average="macro"), "auc": auc}


def number_metrics(q):
    truth, predicted = np.array(q["truth"]), np.array(q["predicted"])
    constant = np.ptp(truth) == 0
    return {"mae": metrics.mean_absolute_error(truth, predicted), "mse": metrics.mean_squared_error(truth, predicted),
            "r2": None if constant else metrics.r2_score(truth, predicted),
            "pearson_r": None if constant or np.ptp(predicted) == 0 else pearsonr(truth, predicted)[0]}


def fit(x, y, classes, lam, balanced):
    """A function from raw features to numbers or probabilities."""
    scaler = StandardScaler().fit(x)
    if classes == 0:
        mean, sd = y.mean(), y.std()
        model = Ridge(alpha=lam, tol=1e-14, solver="svd").fit(scaler.transform(x), (y - mean) / sd)
        return lambda new: (model.predict(scaler.transform(new)) * sd + mean)[:, None]
    # With two classes scikit-learn has one weight vector: twice the inverse penalty is the same problem.
    c = (2 if classes == 2 else 1) / lam
    model = LogisticRegression(C=c, tol=1e-12, max_iter=100000, solver="newton-cg",
                               class_weight="balanced" if balanced else None).fit(scaler.transform(x), y.astype(int))
    return lambda new: model.predict_proba(scaler.transform(new))


def linear(q):
    x = np.array(q["x"]).reshape(len(q["y"]), -1)
    y, classes = np.array(q["y"]), q["classes"]
    new = np.array(q["new"]).reshape(-1, x.shape[1])
    kept = int((x.std(0) >= 1e-12).sum())
    answer = {"predictions": fit(x, y, classes, q["lambda_per_column"] * kept, q["balanced"])(new).ravel().tolist()}
    if "folds" in q:
        folds, scores = np.array(q["folds"]), []
        for lam in q["grid"]:
            total = 0.0
            for fold in sorted(set(q["folds"])):
                a, b = folds != fold, folds == fold
                p = fit(x[a], y[a], classes, lam * kept, q["balanced"])(x[b])
                if classes:
                    total -= np.log(p[np.arange(b.sum()), y[b].astype(int)]).sum()
                else:
                    total += ((p[:, 0] - y[b]) ** 2).sum()
            scores.append(total / len(y))
        answer["scores"] = scores
    return answer


def reliability(q):
    truth, p = np.array(q["truth"]), np.array(q["probabilities"]).reshape(len(q["truth"]), -1)
    from sklearn.calibration import calibration_curve
    right, confidence = calibration_curve(p.argmax(1) == truth, p.max(1), n_bins=10)
    return {"accuracy": right.tolist(), "confidence": confidence.tolist()}


questions = json.load(open(sys.argv[1]))
json.dump([globals()[q["kind"]](q) for q in questions], open(sys.argv[2], "w"))
